//! Which run of a CronJob is due now, and when to look again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;
use crate::object::CronJob;

/// More missed runs than this are worth a warning.
const MANY: i64 = 100;
/// Clocks are read once more this long after the time, so that it has come.
const SLACK: SignedDuration = SignedDuration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The last run that should have been.
    pub at: Option<Timestamp>,
    pub missed: Missed,
    /// Since when runs were looked for.
    since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    None,
    Few,
    Many,
}

/// The last run at or before `now`, of those that nobody has made. Runs that
/// are later than the CronJob's deadline are passed over.
pub fn due(cron: &CronJob, schedule: &Schedule, now: Timestamp) -> Due {
    let deadline = cron.spec.starting_deadline_seconds;
    let earliest = deadline.and_then(|s| now.checked_sub(SignedDuration::from_secs(s)).ok());
    let since = since(cron);
    last_run(schedule, since.max(earliest.unwrap_or(since)), now)
}

fn since(cron: &CronJob) -> Timestamp {
    let last = cron.status.last_schedule_time.as_ref();
    let start = last.or(cron.metadata.creation_timestamp.as_ref());
    start.map_or(Timestamp::UNIX_EPOCH, |t| t.0)
}

/// Steps over most of a long pause in one go, by the distance of two runs.
fn last_run(schedule: &Schedule, since: Timestamp, now: Timestamp) -> Due {
    let due = |at, missed| Due { at, missed, since };
    let Some(first) = schedule.next(since).filter(|first| *first <= now) else {
        return due(None, Missed::None);
    };
    let Some(second) = schedule.next(first).filter(|second| *second <= now) else {
        return due(Some(first), Missed::None);
    };
    let step = (second.as_second() - first.as_second()).max(1);
    let missed = (now.as_second() - first.as_second()) / step + 1;
    let skipped = SignedDuration::from_secs((missed - 2).saturating_mul(step));
    let mut at = None;
    let mut from = first.checked_add(skipped).unwrap_or(first);
    while let Some(next) = schedule.next(from).filter(|next| *next <= now) {
        (at, from) = (Some(next), next);
    }
    due(
        at,
        if missed > MANY {
            Missed::Many
        } else {
            Missed::Few
        },
    )
}

/// How long until the next run; nothing if there is none.
pub fn wait(cron: &CronJob, schedule: &Schedule, now: Timestamp) -> Option<Duration> {
    let last = last_run(schedule, since(cron), now);
    let from = match (last.at, last.missed) {
        (Some(at), _) => at,
        (None, Missed::None) => last.since,
        (None, _) => now,
    };
    let next = schedule.next(from)?;
    let wait = next.duration_since(now) + SLACK;
    Some(Duration::try_from(wait).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: &str = "2026-01-01T12:00:30Z";

    fn cron(schedule: &str, deadline: Value, last: &str) -> CronJob {
        let spec = json!({ "schedule": schedule, "timeZone": "UTC", "startingDeadlineSeconds": deadline, "jobTemplate": {} });
        let status = json!({ "lastScheduleTime": last });
        serde_json::from_value(json!({ "metadata": {}, "spec": spec, "status": status })).unwrap()
    }

    fn look(cron: &CronJob) -> (Option<String>, Missed, u64) {
        let schedule = Schedule::of(&cron.spec).unwrap();
        let now = NOW.parse().unwrap();
        let due = due(cron, &schedule, now);
        let wait = wait(cron, &schedule, now).unwrap();
        (due.at.map(|t| t.to_string()), due.missed, wait.as_secs())
    }

    #[test]
    fn run_is_due_once_its_time_has_come() {
        let not_yet = look(&cron("* * * * *", Value::Null, "2026-01-01T12:00:00Z"));
        assert_eq!(not_yet, (None, Missed::None, 30));
        let due = look(&cron("* * * * *", Value::Null, "2026-01-01T11:59:00Z"));
        assert_eq!(due, (Some("2026-01-01T12:00:00Z".into()), Missed::None, 30));
    }

    #[test]
    fn only_the_last_of_missed_runs_is_due() {
        let few = look(&cron("* * * * *", Value::Null, "2026-01-01T11:00:00Z"));
        assert_eq!(few, (Some("2026-01-01T12:00:00Z".into()), Missed::Few, 30));
        let many = look(&cron("* * * * *", Value::Null, "2025-01-01T11:00:00Z"));
        assert_eq!(
            many,
            (Some("2026-01-01T12:00:00Z".into()), Missed::Many, 30)
        );
        let uneven = look(&cron(
            "30 6-10/4 * * 1-5",
            Value::Null,
            "2025-12-20T00:00:00Z",
        ));
        assert_eq!(uneven.0.as_deref(), Some("2026-01-01T10:30:00Z"));
    }

    #[test]
    fn runs_before_the_deadline_are_passed_over() {
        let late = cron("0 12 * * *", json!(10), "2025-12-31T12:00:00Z");
        assert_eq!(look(&late).0, None);
        let in_time = cron("0 12 * * *", json!(60), "2025-12-31T12:00:00Z");
        assert_eq!(look(&in_time).0.as_deref(), Some("2026-01-01T12:00:00Z"));
        let many = cron("* * * * *", json!(200), "2025-01-01T00:00:00Z");
        assert_eq!(look(&many).1, Missed::Few);
    }
}
