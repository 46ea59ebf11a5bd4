//! Waiting longer after each failure, up to a limit.

use std::time::Duration;

/// Doubles from `first` to `max`; [`reset`](Backoff::reset) after a success.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub const fn new(first: Duration, max: Duration) -> Self {
        Backoff {
            first,
            max,
            next: first,
        }
    }

    /// How long to wait now; the following wait is twice that.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next.min(self.max);
        self.next = wait.saturating_mul(2).min(self.max);
        wait
    }

    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Adds up to `share` (0.1 is a tenth) at random, so that many do not come back at once.
pub fn jittered(wait: Duration, share: f64) -> Duration {
    wait.mul_f64(1.0 + share.max(0.0) * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_start_over_after_a_reset() {
        let secs = Duration::from_secs;
        let mut backoff = Backoff::new(secs(10), secs(300));
        let waits: Vec<u64> = (0..7).map(|_| backoff.wait().as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        backoff.reset();
        assert_eq!(backoff.wait(), secs(10));
    }
}
