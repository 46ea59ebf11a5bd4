//! Certificates that are replaced before they end, for as long as they are used.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Clock, Error, Identity, Issued, Validity};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Renews `identity` after two thirds of its life, again and again; never ends.
/// What fails is told in the log and tried again, after the end too.
pub async fn keep<E, F>(
    name: &str,
    identity: &Identity,
    clock: &impl Clock,
    mut renew: impl FnMut() -> F,
) where
    E: Display + From<Error>,
    F: Future<Output = Result<Issued, E>>,
{
    loop {
        clock.sleep_until(begin(identity.validity())).await;
        let mut pause = FIRST_PAUSE;
        loop {
            let renewed = renew().await;
            let used = renewed.and_then(|issued| Ok(identity.replace(&issued)?));
            let Err(error) = used else { break };
            let until = identity.validity().until;
            tracing::warn!(certificate = name, %until, "renew a certificate: {error:#}");
            clock.sleep_until(after(clock.now(), pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let until = identity.validity().until;
        tracing::info!(certificate = name, %until, "a certificate was renewed");
        // One that is due again at once (a signer that gives minutes) must not spin.
        clock.sleep_until(after(clock.now(), FIRST_PAUSE)).await;
    }
}

/// Up to a tenth of what is left earlier: machines that joined together need not
/// come back together.
fn begin(validity: Validity) -> Timestamp {
    let at = validity.renew_at();
    let left = validity.until.duration_since(at);
    let share = i32::from(rand::random::<u8>());
    at - left * share / 2560
}

fn after(now: Timestamp, pause: Duration) -> Timestamp {
    now + SignedDuration::try_from(pause).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{Authority, Request};

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Jumps to whatever is waited for, up to an end; there it stands still.
    struct ByHand {
        now: Mutex<Timestamp>,
        end: Timestamp,
    }

    impl Clock for ByHand {
        fn now(&self) -> Timestamp {
            *self.now.lock().unwrap()
        }

        async fn sleep_until(&self, at: Timestamp) {
            if at > self.end {
                std::future::pending::<()>().await;
            }
            let mut now = self.now.lock().unwrap();
            *now = at.max(*now);
        }
    }

    /// How often a certificate of `lifetime` is renewed within `hours`, if the
    /// first `failures` attempts fail.
    async fn renewals(lifetime: Duration, hours: i64, failures: usize) -> (usize, Identity) {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(dir.path(), "ca", "ca").unwrap();
        let issue = |lifetime| {
            let request = Request {
                lifetime: Some(lifetime),
                ..Request::default()
            };
            authority.issue(&request)
        };
        let identity = Identity::new(&issue(lifetime).unwrap()).unwrap();
        let now = Timestamp::now();
        let clock = ByHand {
            now: Mutex::new(now),
            end: now + SignedDuration::from_hours(hours),
        };
        let tries = AtomicUsize::new(0);
        let renew = || {
            let tried = tries.fetch_add(1, Ordering::Relaxed);
            let passed = clock.now().duration_since(now);
            let lifetime = lifetime + Duration::try_from(passed).unwrap();
            let issued = if tried < failures {
                Err(Error::JoinToken { reason: "a test" })
            } else {
                issue(lifetime)
            };
            std::future::ready(issued)
        };
        let keeping = keep("a test's", &identity, &clock, renew);
        let limit = Duration::from_millis(200);
        assert!(tokio::time::timeout(limit, keeping).await.is_err());
        let made = tries.load(Ordering::Relaxed) - failures;
        let identity = std::sync::Arc::into_inner(identity).unwrap();
        (made, identity)
    }

    #[tokio::test(start_paused = true)]
    async fn a_certificate_of_a_day_is_renewed_before_it_ends() {
        assert_eq!(renewals(DAY, 14, 0).await.0, 0);
        let (made, identity) = renewals(DAY, 17, 0).await;
        assert_eq!(made, 1);
        let left = identity.validity().until.duration_since(Timestamp::now());
        assert!(left > SignedDuration::from_hours(37), "{left}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_fails_is_tried_again() {
        assert_eq!(renewals(DAY, 17, 5).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_has_ended_is_renewed_at_once() {
        assert_eq!(renewals(Duration::ZERO, 0, 0).await.0, 1);
    }
}
