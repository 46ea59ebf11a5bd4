//! How fast a process may write events, whatever happens in its cluster.

use std::time::Duration;

use tokio::time::Instant;

/// At once, when it was quiet for long enough.
const BURST: u32 = 100;
/// The pace of Kubernetes' clients: fifty a second.
const GAP: Duration = Duration::from_millis(20);

/// The time at which the next is due, had all come one `GAP` after the other.
#[derive(Debug)]
pub struct Pace {
    due: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { due: now }
    }

    /// Counts one more; when it may go out.
    pub fn next(&mut self, now: Instant) -> Instant {
        let due = self.due.max(now);
        self.due = due + GAP;
        due.checked_sub(GAP * BURST).unwrap_or(now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_goes_at_once_and_the_rest_at_the_pace() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let at_once = (0..=BURST).filter(|_| pace.next(start) == start).count();
        assert_eq!(at_once, BURST as usize + 1);
        assert_eq!(pace.next(start), start + GAP);
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.next(later), later);
    }
}
