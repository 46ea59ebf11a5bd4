//! When watches may write to their connections.
//!
//! A write costs the same for one event as for fifty. A thousand watchers of a
//! busy kind, each told of each event at once, would leave the server no time
//! for anything else; so all watches together write at a bounded pace, and what
//! comes while one waits for its turn goes out with it. Below that pace nobody
//! waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Between two writes, in microseconds: 25,000 writes a second.
const GAP: u64 = 40;
/// What was not used of the pace, up to this many microseconds, may be made up for.
const CREDIT: u64 = 100_000;
/// A turn that comes so soon is now: timers are no finer.
const SOON: u64 = 1000;

/// The turns of one server's watches.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    /// The turn after those that were given, in microseconds since `began`.
    next: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            next: AtomicU64::new(0),
        }
    }
}

impl Pace {
    /// Takes a turn; None is now.
    pub fn turn(&self) -> Option<Instant> {
        let now = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let earliest = now.saturating_sub(CREDIT);
        let step = |next: u64| Some(next.max(earliest) + GAP);
        let taken = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        // `step` never refuses.
        let turn = taken.unwrap_or_else(|next| next).max(earliest);
        (turn > now + SOON).then(|| self.began + Duration::from_micros(turn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_come_at_once_until_the_pace_is_reached_and_then_one_after_the_other() {
        let pace = Pace::default();
        tokio::time::advance(Duration::from_secs(10)).await;
        let now = Instant::now();
        let at_once = (0..10_000).take_while(|_| pace.turn().is_none()).count();
        let credit = (CREDIT + SOON) / GAP;
        assert_eq!(at_once as u64, credit + 1);
        let (one, two) = (pace.turn().unwrap(), pace.turn().unwrap());
        assert_eq!(two - one, Duration::from_micros(GAP));
        assert!(one > now);
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_time_is_made_up_for_in_part_only() {
        let pace = Pace::default();
        tokio::time::advance(Duration::from_secs(3600)).await;
        let at_once = (0..1_000_000).take_while(|_| pace.turn().is_none()).count();
        assert!(at_once < 5000);
    }
}
