//! How long a node is left alone after the set's pod has failed there: a
//! kubelet that refuses a pod would refuse the next one as fast.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Beyond this many, those without failures of late are forgotten.
const MANY: usize = 1024;

#[derive(Default)]
pub struct Backoff(Mutex<HashMap<(String, String), Failures>>);

struct Failures {
    last: Instant,
    wait: Duration,
}

impl Backoff {
    /// How much longer the node must rest.
    pub fn rest(&self, set: &str, node: &str) -> Option<Duration> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = failures.get(&(set.to_owned(), node.to_owned()))?;
        let rest = (found.last + found.wait).saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }

    /// A pod has failed there once more.
    pub fn failed(&self, set: &str, node: &str) {
        let now = Instant::now();
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MANY {
            failures.retain(|_, f| now < f.last + 2 * LONGEST);
        }
        let key = (set.to_owned(), node.to_owned());
        let before = failures.get(&key).filter(|f| now < f.last + 2 * LONGEST);
        let wait = before.map_or(FIRST, |f| (2 * f.wait).min(LONGEST));
        failures.insert(key, Failures { last: now, wait });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn node_rests_twice_as_long_after_each_failure() {
        let backoff = Backoff::default();
        assert_eq!(backoff.rest("s", "n"), None);
        for seconds in [1, 2, 4] {
            backoff.failed("s", "n");
            assert_eq!(backoff.rest("s", "n"), Some(Duration::from_secs(seconds)));
            assert_eq!(backoff.rest("s", "other"), None);
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(backoff.rest("s", "n"), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_failures_are_forgiven() {
        let backoff = Backoff::default();
        backoff.failed("s", "n");
        backoff.failed("s", "n");
        tokio::time::advance(2 * LONGEST + FIRST).await;
        backoff.failed("s", "n");
        assert_eq!(backoff.rest("s", "n"), Some(FIRST));
    }
}
