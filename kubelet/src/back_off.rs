//! How long to wait before the same thing is tried again: 10 s, doubled up to
//! 5 min, forgotten after 10 min of peace.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::after;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);

/// The back-off of one container's restarts, or of one image's pulls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    delay: Option<Duration>,
    last: Option<Instant>,
}

impl BackOff {
    /// Notes one more attempt at `now`: the next one waits longer.
    pub fn attempt(&mut self, now: Instant) {
        let expired = self.last.is_some_and(|last| now > after(last, LONGEST * 2));
        self.delay = match self.delay {
            Some(delay) if !expired => Some((delay * 2).min(LONGEST)),
            _ => Some(FIRST),
        };
        self.last = Some(now);
    }

    /// When to try again after a failure at `failed`, and after what delay;
    /// `None` is at once.
    pub fn until(&self, failed: Instant) -> Option<(Instant, Duration)> {
        let (delay, last) = (self.delay?, self.last?);
        // Long peace before this failure makes it a first one.
        if failed > after(last, LONGEST * 2) {
            return None;
        }
        Some((after(failed, delay), delay))
    }
}

/// A delay as Go prints it: `10s`, `1m20s`, `5m0s`.
pub fn go_duration(delay: Duration) -> String {
    let seconds = delay.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *START.get_or_init(Instant::now) + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_failure_is_retried_at_once() {
        assert_eq!(BackOff::default().until(at(5)), None);
    }

    #[test]
    fn delays_double_up_to_five_minutes() {
        let mut back_off = BackOff::default();
        let delays: Vec<u64> = (0..7)
            .map(|n| {
                back_off.attempt(at(n));
                back_off.until(at(n)).unwrap().1.as_secs()
            })
            .collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_minutes_of_peace_start_it_over() {
        let mut back_off = BackOff::default();
        back_off.attempt(at(0));
        assert_eq!(back_off.until(at(601)), None);
        back_off.attempt(at(601));
        assert_eq!(back_off.until(at(602)).unwrap().0, at(612));
    }

    #[test]
    fn durations_read_as_in_go() {
        let read = |s| go_duration(Duration::from_secs(s));
        assert_eq!(
            (read(10), read(80), read(300)),
            ("10s".into(), "1m20s".into(), "5m0s".into())
        );
    }
}
