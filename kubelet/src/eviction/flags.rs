//! Kubernetes' flags that say when to evict, and the rules they make together.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use super::judge::Rule;
use super::signal::{Amount, Signal};

/// Kubernetes' own.
pub const DEFAULT_HARD: &str = "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%";

/// `--eviction-hard`, `--eviction-soft`: `memory.available<100Mi,nodefs.available<10%`.
/// Signals that are not named are not looked at, and no text at all means none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds(pub(crate) BTreeMap<Signal, Amount>);

/// `--eviction-soft-grace-period`: `memory.available=1m30s`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GracePeriods(BTreeMap<Signal, Duration>);

/// `--eviction-minimum-reclaim`: `nodefs.available=500Mi`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MinimumReclaim(BTreeMap<Signal, Amount>);

impl Thresholds {
    /// What of `all` is kept free by the threshold of a signal.
    fn kept(&self, signal: Signal, all: u64) -> u64 {
        self.0.get(&signal).map_or(0, |amount| amount.of(all))
    }
}

impl FromStr for Thresholds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut amounts: BTreeMap<Signal, Amount> = pairs(text, '<', |amount| amount.parse())?;
        // As in Kubernetes, these two are ways to say that there is no threshold.
        amounts.retain(|_, amount| {
            !matches!(amount, Amount::Percent(percent) if *percent <= 0.0 || *percent >= 100.0)
        });
        Ok(Self(amounts))
    }
}

impl FromStr for GracePeriods {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = |text: &str| {
            let parsed = text.parse::<SignedDuration>().ok();
            parsed
                .and_then(|duration| Duration::try_from(duration).ok())
                .ok_or_else(|| format!("{text:?} is not a duration such as 1m30s"))
        };
        pairs(text, '=', duration).map(Self)
    }
}

impl FromStr for MinimumReclaim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        pairs(text, '=', |amount| amount.parse()).map(Self)
    }
}

fn pairs<T>(
    text: &str,
    between: char,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<BTreeMap<Signal, T>, String> {
    let mut found = BTreeMap::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once(between).ok_or_else(|| match between {
            '<' => format!("{part:?} is not a threshold such as nodefs.available<10%"),
            _ => format!("{part:?} is not a pair such as nodefs.available=500Mi"),
        })?;
        let signal = Signal::parse(name)?;
        if found.insert(signal, parse(value)?).is_some() {
            return Err(format!("{name} is named twice"));
        }
    }
    Ok(found)
}

/// When pods are evicted, and how.
#[derive(Clone, Debug, Default)]
pub struct Eviction {
    /// Below these pods end at once.
    pub hard: Thresholds,
    /// Below these pods end after a grace period.
    pub soft: Thresholds,
    pub soft_grace: GracePeriods,
    /// How far above its threshold a signal must come before all is well.
    pub minimum_reclaim: MinimumReclaim,
    /// How long a condition stays after its cause was last seen.
    pub transition: Duration,
    /// What pods have to end under a soft threshold.
    pub max_pod_grace: Duration,
}

impl Eviction {
    /// Whether the flags fit together.
    ///
    /// # Errors
    /// A soft threshold has no grace period.
    pub fn check(&self) -> Result<(), String> {
        let mut soft = self.soft.0.keys();
        match soft.find(|signal| !self.soft_grace.0.contains_key(signal)) {
            Some(signal) => Err(format!(
                "--eviction-soft names {0} and --eviction-soft-grace-period does not: say for how long it must be low, such as {0}=1m30s",
                signal.name()
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn rules(&self) -> Vec<Rule> {
        let rule = |signal: Signal, least: Amount, grace| Rule {
            signal,
            least,
            grace,
            reclaim: self.minimum_reclaim.0.get(&signal).copied(),
        };
        let hard = self.hard.0.iter().map(|(s, least)| rule(*s, *least, None));
        let soft = self.soft.0.iter().map(|(s, least)| {
            let grace = self.soft_grace.0.get(s).copied().unwrap_or_default();
            rule(*s, *least, Some(grace))
        });
        hard.chain(soft).collect()
    }

    /// What the hard thresholds keep from pods of so much memory and so much disk.
    pub(crate) fn kept(&self, memory: u64, disk: u64) -> (u64, u64) {
        (
            self.hard.kept(Signal::Memory, memory),
            self.hard.kept(Signal::NodeFs, disk),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_threshold_is_refused_by_name() {
        let refused = |text: &str| text.parse::<Thresholds>().unwrap_err();
        assert!(refused("nodefs.available").contains("not a threshold"));
        assert!(refused("cpu.available<1").contains("not a signal; known are memory.available"));
        for amount in ["", "x", "-1", "-1%", "101%", "NaN%"] {
            let text = format!("nodefs.available<{amount}");
            assert!(refused(&text).contains("neither an amount"), "{text}");
        }
        assert!(refused("pid.available<1%,pid.available<2%").contains("twice"));
        let refused = |text: &str| text.parse::<GracePeriods>().unwrap_err();
        assert!(refused("memory.available=-1m").contains("not a duration"));
        assert!(refused("memory.available<1m").contains("not a pair"));
        assert!("pid.available=x".parse::<MinimumReclaim>().is_err());
    }

    #[test]
    fn nothing_nought_and_all_are_no_thresholds() {
        for text in ["", "nodefs.available<0%", "memory.available<100%"] {
            let parsed: Thresholds = text.parse().unwrap();
            assert_eq!(parsed, Thresholds::default(), "{text}");
        }
        assert_eq!(DEFAULT_HARD.parse::<Thresholds>().unwrap().0.len(), 5);
    }

    #[test]
    fn a_soft_threshold_needs_a_grace_period() {
        let mut flags = Eviction {
            soft: "memory.available<1Gi".parse().unwrap(),
            ..Eviction::default()
        };
        assert!(
            flags
                .check()
                .unwrap_err()
                .contains("names memory.available ")
        );
        flags.soft_grace = "memory.available=1m30s".parse().unwrap();
        flags.check().unwrap();
        assert_eq!(flags.rules()[0].grace, Some(Duration::from_secs(90)));
    }
}
