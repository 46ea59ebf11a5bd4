//! Two clocks: the time of day, which people and servers set, and a steady one that only goes on.
//!
//! The API is told the time of day; what is waited for is counted by the steady clock
//! ([`Instant`]), so that an hour given or taken makes nobody wait an hour more or less. What both
//! are about, tokens that a server counts by its own time of day, is renewed when ours is set.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::time::Instant;

/// No wait is longer; the clock could not count some.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// `time` plus `delay`, as far as the clock can count.
pub fn after(time: Instant, delay: Duration) -> Instant {
    time + delay.min(FAR)
}

/// How long ago `then` was. What lies ahead, by a clock that was set back, has just been.
pub fn age(then: Timestamp) -> Duration {
    age_at(then, Timestamp::now())
}

/// When `then` was, by the steady clock, as far back as that goes.
pub fn since(then: Timestamp) -> Instant {
    let now = Instant::now();
    now.checked_sub(age(then)).unwrap_or(now)
}

fn age_at(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

/// Tells whenever the time of day is set, or the machine wakes from sleep.
pub struct Jumps(watch::Receiver<u64>);

impl Jumps {
    /// Watches until the last one is dropped. Where the kernel cannot tell, nothing ever is.
    pub fn watch() -> Self {
        let (sender, receiver) = watch::channel(0);
        match timer() {
            Ok(timer) => drop(tokio::spawn(tell(timer, sender))),
            Err(e) => tracing::warn!("watch for settings of the clock: {e}"),
        }
        Self(receiver)
    }

    /// Those that are still to come.
    pub fn to_come(&self) -> Self {
        let mut receiver = self.0.clone();
        receiver.mark_unchanged();
        Self(receiver)
    }

    /// Returns at the next one; never if there can be none.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// timerfd_create(2): one that ends in the distant future, and before that, again and again, when
/// the clock is set.
fn timer() -> io::Result<Receiver> {
    let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
    let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    let end = TimeSpec::new(i64::MAX / 1_000_000_000 - 1, 0);
    timer.set(Expiration::OneShot(end), flags)?;
    // It is read like a pipe.
    Receiver::from_owned_fd_unchecked(timer.into())
}

async fn tell(mut timer: Receiver, sender: watch::Sender<u64>) {
    let mut expirations = [0; 8];
    loop {
        let read = tokio::select! {
            read = timer.read(&mut expirations) => read,
            () = sender.closed() => return,
        };
        match read {
            Err(e) if e.raw_os_error() == Some(Errno::ECANCELED as i32) => {
                tracing::info!("the clock was set");
                sender.send_modify(|count| *count += 1);
            }
            other => return tracing::warn!("watch for settings of the clock: {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn ages_are_never_less_than_nothing() {
        assert_eq!(age_at(at(100), at(160)), Duration::from_secs(60));
        assert_eq!(age_at(at(160), at(100)), Duration::ZERO);
    }

    #[test]
    fn no_wait_is_too_long_for_the_clock() {
        let now = Instant::now();
        assert!(after(now, Duration::MAX) > now);
        assert_eq!(
            after(now, Duration::from_secs(9)) - now,
            Duration::from_secs(9)
        );
    }

    #[tokio::test]
    async fn only_what_is_still_to_come_is_told() {
        let (sender, receiver) = watch::channel(0);
        let all = Jumps(receiver);
        sender.send_replace(1);
        let mut later = all.to_come();
        let told = tokio::time::timeout(Duration::from_millis(20), later.next());
        assert!(told.await.is_err());
        sender.send_replace(2);
        later.next().await;
    }

    #[tokio::test]
    async fn nothing_is_told_while_nobody_sets_the_clock() {
        let mut jumps = Jumps::watch();
        let told = tokio::time::timeout(Duration::from_millis(20), jumps.next());
        assert!(told.await.is_err());
        assert!(jumps.0.has_changed().is_ok(), "the kernel can tell");
    }
}
