//! The time of day, and waiting for one: what tests turn by hand.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

/// Where renewals take the time from.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Waits until the clock shows `at`, or later.
    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = ()> + Send;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

/// The longest sleep at a time: a timer does not see that the clock was set, or
/// that the machine slept.
const STEP: Duration = Duration::from_secs(60);

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(STEP)).await;
        }
    }
}
