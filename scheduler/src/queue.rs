//! The pods that wait for a node.
//!
//! A pod is ready (to be looked at now), backing off (until a time), or parked
//! (until something in the cluster changes that could help it).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::cache::Candidate;
use crate::plugins::Wakeup;
use crate::specs::Specs;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A parked pod is looked at again after this long, whatever happened.
const LONGEST_PARK: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    BackingOff {
        until: Instant,
    },
    Parked {
        wakeup: Wakeup,
        since: Instant,
    },
    /// Taken out by `pop`; comes back by `retry` or `park`, or is removed.
    Taken,
}

struct Waiting {
    candidate: Candidate,
    sequence: u64,
    attempts: u32,
    last_attempt: Option<Instant>,
    state: State,
}

/// Pods by what they wait for. Higher priority first, then first come first served.
#[derive(Default)]
pub struct Queue {
    pods: HashMap<Arc<str>, Waiting>,
    ready: BTreeSet<(Reverse<i32>, u64, Arc<str>)>,
    timers: BinaryHeap<Reverse<(Instant, Arc<str>)>>,
    specs: Specs,
    next_sequence: u64,
}

impl Queue {
    /// Adds a pod, or takes over its changed spec and looks at it afresh.
    pub fn add(&mut self, mut candidate: Candidate) {
        candidate.spec = self.specs.share(candidate.spec);
        let key = candidate.key.clone();
        if let Some(known) = self.pods.get_mut(&key)
            && known.candidate.uid == candidate.uid
        {
            // A status written by us comes back as a change; only a changed
            // spec is a reason to look again.
            let is_news = known.candidate.spec != candidate.spec;
            known.candidate = candidate;
            if is_news && matches!(known.state, State::Parked { .. }) {
                self.make_ready(&key);
            }
            return;
        }
        self.remove(&key);
        self.next_sequence += 1;
        let waiting = Waiting {
            candidate,
            sequence: self.next_sequence,
            attempts: 0,
            last_attempt: None,
            state: State::Taken,
        };
        self.pods.insert(key.clone(), waiting);
        self.make_ready(&key);
    }

    pub fn remove(&mut self, key: &str) {
        if let Some(waiting) = self.pods.remove(key) {
            self.ready.remove(&ready_key(&waiting));
        }
    }

    pub fn keys(&self) -> Vec<Arc<str>> {
        self.pods.keys().cloned().collect()
    }

    /// Takes the first ready pod out.
    pub fn pop(&mut self, now: Instant) -> Option<Candidate> {
        let (_, _, key) = self.ready.pop_first()?;
        let waiting = self.pods.get_mut(&key)?;
        waiting.state = State::Taken;
        waiting.attempts += 1;
        waiting.last_attempt = Some(now);
        Some(waiting.candidate.clone())
    }

    /// The pod did not fit: waits until `wakeup` happens.
    pub fn park(&mut self, key: &str, wakeup: Wakeup, now: Instant) {
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.state = State::Parked { wakeup, since: now };
            self.timers.push(Reverse((now + LONGEST_PARK, key.into())));
        }
    }

    /// Something went wrong that may pass by itself: looks again after a back-off.
    pub fn retry(&mut self, key: &str, now: Instant) {
        let Some(waiting) = self.pods.get_mut(key) else {
            return;
        };
        let until = waiting.last_attempt.unwrap_or(now) + backoff(waiting.attempts);
        if until <= now {
            return self.make_ready(key);
        }
        waiting.state = State::BackingOff { until };
        self.timers.push(Reverse((until, key.into())));
    }

    /// Something happened in the cluster: parked pods that it may help are
    /// looked at again, after what is left of their back-off.
    pub fn wake(&mut self, happened: Wakeup, now: Instant) {
        let helped = |w: &Waiting| match w.state {
            State::Parked { wakeup, .. } => happened == Wakeup::Node || wakeup == happened,
            _ => false,
        };
        let parked = self.pods.iter().filter(|(_, w)| helped(w));
        let keys: Vec<Arc<str>> = parked.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.retry(&key, now);
        }
    }

    /// When `tick` is next worth calling.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Makes pods ready whose back-off or longest park has passed.
    pub fn tick(&mut self, now: Instant) {
        while let Some(Reverse((at, _))) = self.timers.peek()
            && *at <= now
        {
            let Some(Reverse((_, key))) = self.timers.pop() else {
                return;
            };
            let due = self.pods.get(&key).is_some_and(|w| match w.state {
                State::BackingOff { until } => until <= now,
                State::Parked { since, .. } => since + LONGEST_PARK <= now,
                State::Ready | State::Taken => false,
            });
            if due {
                self.make_ready(&key);
            }
        }
    }

    fn make_ready(&mut self, key: &str) {
        if let Some(waiting) = self.pods.get_mut(key) {
            waiting.state = State::Ready;
            self.ready.insert(ready_key(waiting));
        }
    }
}

fn ready_key(waiting: &Waiting) -> (Reverse<i32>, u64, Arc<str>) {
    let priority = waiting.candidate.spec.priority.unwrap_or(0);
    (
        Reverse(priority),
        waiting.sequence,
        waiting.candidate.key.clone(),
    )
}

fn backoff(attempts: u32) -> Duration {
    let doubled = FIRST_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(8));
    doubled.min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests;
