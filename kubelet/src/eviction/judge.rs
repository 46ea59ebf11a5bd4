//! Which thresholds are crossed, since when, and what follows: pure but for the times it remembers.
//!
//! Times are of a clock that nobody sets.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Pressure;
use super::signal::{Amount, Resource, Signal, Stock};

/// What is free, by signal; what could not be read is not there, and is never pressure.
pub type Stocks = BTreeMap<Signal, Stock>;

/// Below `least` pods are evicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    pub signal: Signal,
    pub least: Amount,
    /// Soft: it must be low for so long. Hard: none.
    pub grace: Option<Duration>,
    /// Once crossed, it must come so far above.
    pub reclaim: Option<Amount>,
}

impl Rule {
    fn is_met(&self, stocks: &Stocks) -> bool {
        let stock = stocks.get(&self.signal);
        stock.is_some_and(|stock| stock.free < self.least.of(stock.all))
    }

    /// Whether it is below, or not above far enough.
    pub fn is_unresolved(&self, stocks: &Stocks) -> bool {
        stocks.get(&self.signal).is_some_and(|stock| {
            let more = self.reclaim.map_or(0, |amount| amount.of(stock.all));
            stock.free < self.least.of(stock.all).saturating_add(more)
        })
    }
}

/// What a look at the node comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    pub pressure: Pressure,
    /// What something must be done about, the most urgent first.
    pub due: Vec<Rule>,
}

/// Remembers what earlier looks saw.
pub struct Judge {
    rules: Vec<Rule>,
    transition: Duration,
    /// By rule: whether something was due about it at the last look.
    was_due: Vec<bool>,
    /// By rule: since when it is met.
    since: Vec<Option<Instant>>,
    /// When each pressure was last seen.
    seen: [Option<Instant>; 3],
}

impl Judge {
    pub fn new(rules: Vec<Rule>, transition: Duration) -> Self {
        Self {
            was_due: vec![false; rules.len()],
            since: vec![None; rules.len()],
            seen: [None; 3],
            rules,
            transition,
        }
    }

    /// Whether there is anything to look for.
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    pub fn judge(&mut self, stocks: &Stocks, now: Instant) -> Verdict {
        let mut pressure = Pressure::default();
        let mut due = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let is_met = rule.is_met(stocks) || self.was_due[index] && rule.is_unresolved(stocks);
            let since = &mut self.since[index];
            *since = is_met.then(|| since.unwrap_or(now));
            if is_met {
                rule.signal.press(&mut pressure);
            }
            let is_due = since.is_some_and(|since| {
                now.saturating_duration_since(since) >= rule.grace.unwrap_or_default()
            });
            self.was_due[index] = is_due;
            if is_due {
                due.push(*rule);
            }
        }
        // Nothing can be reclaimed of processes but pods: they come last.
        due.sort_by_key(|rule| {
            let is_last = rule.signal.resource() == Resource::Processes;
            (rule.signal != Signal::Memory, is_last)
        });
        Verdict {
            pressure: self.stay(pressure, now),
            due,
        }
    }

    /// A pressure stays for a while after it was last seen, or pods would come and go with it.
    fn stay(&mut self, pressure: Pressure, now: Instant) -> Pressure {
        let current = [pressure.memory, pressure.disk, pressure.processes];
        let mut stays = [false; 3];
        for ((seen, is_there), stays) in self.seen.iter_mut().zip(current).zip(&mut stays) {
            if is_there {
                *seen = Some(now);
            }
            let lasts = |seen: Instant| now.saturating_duration_since(seen) < self.transition;
            *stays = is_there || seen.is_some_and(lasts);
        }
        let [memory, disk, processes] = stays;
        Pressure {
            memory,
            disk,
            processes,
        }
    }
}

#[cfg(test)]
mod tests;
