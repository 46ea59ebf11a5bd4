//! When a CronJob is due.
//!
//! Schedules are read as validation reads them, and searched by `croner`, on
//! the clock of one offset at a time. So an hour that a time zone leaps over
//! has no runs, and one that it repeats has them twice, as in Kubernetes.

use apimachinery::cron::{Fields, Schedule as Read};
use croner::Cron;
use croner::parser::CronParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::object::CronJobSpec;

/// Offsets that are looked through for the next run: a few years of them.
const OFFSETS: usize = 16;

pub struct Schedule {
    runs: Runs,
    pub zone: TimeZone,
}

enum Runs {
    At(Box<Cron>),
    Every(SignedDuration),
}

/// Why a schedule says nothing; what an event tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Unusable {
    Zone(String),
    Schedule(String),
}

impl Schedule {
    pub fn of(spec: &CronJobSpec) -> Result<Self, Unusable> {
        let zone = match &spec.time_zone {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|e| Unusable::Zone(e.to_string()))?,
        };
        let read = Read::parse(&spec.schedule).map_err(|e| Unusable::Schedule(e.to_string()))?;
        let runs = match read {
            Read::Every(wait) => {
                Runs::Every(SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX))
            }
            Read::Fields(fields) => {
                let cron = pattern(&fields).map_err(|e| Unusable::Schedule(e.to_string()))?;
                Runs::At(Box::new(cron))
            }
        };
        Ok(Self { runs, zone })
    }

    /// The first run after `after`; nothing where there is none for years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.runs {
            Runs::Every(wait) => {
                let next = after.checked_add(*wait).ok()?;
                Timestamp::from_second(next.as_second()).ok()
            }
            Runs::At(cron) => next_of(cron, &self.zone, after),
        }
    }
}

fn next_of(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = after;
    let mut changes = zone.following(after);
    for _ in 0..OFFSETS {
        let offset = zone.to_offset(from);
        let until = changes.next().map(|change| change.timestamp());
        let civil = offset.to_datetime(from);
        let next = cron.find_next_occurrence(&civil, false).ok()?;
        let next = offset.to_timestamp(next).ok()?;
        match until {
            Some(until) if next >= until => {
                // The first moment of the next offset may be one, too.
                from = until;
                if is_due(cron, zone, until) {
                    return Some(until);
                }
            }
            _ => return Some(next),
        }
    }
    None
}

fn is_due(cron: &Cron, zone: &TimeZone, at: Timestamp) -> bool {
    let civil = zone.to_offset(at).to_datetime(at);
    cron.is_time_matching(&civil).unwrap_or(false)
}

/// The fields in the words of `croner`. Where a day field is open, both must
/// fit; otherwise either may.
fn pattern(fields: &Fields) -> Result<Cron, croner::errors::CronError> {
    let list = |bits: u64| {
        let set = (0..u64::BITS).filter(|bit| bits & (1 << bit) != 0);
        let set: Vec<String> = set.map(|bit| bit.to_string()).collect();
        set.join(",")
    };
    let text = [
        fields.minutes,
        fields.hours,
        fields.days_of_month,
        fields.months,
        fields.days_of_week,
    ]
    .map(list)
    .join(" ");
    let both = fields.any_day_of_month || fields.any_day_of_week;
    CronParser::builder().dom_and_dow(both).build().parse(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn schedule(text: &str, zone: Value) -> Schedule {
        let spec = json!({ "schedule": text, "timeZone": zone, "jobTemplate": {} });
        Schedule::of(&serde_json::from_value(spec).unwrap()).unwrap()
    }

    fn runs(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = schedule(text, json!(zone));
        let mut at: Timestamp = after.parse().unwrap();
        let mut runs = Vec::new();
        while runs.len() < count {
            at = schedule.next(at).unwrap();
            runs.push(at.to_string());
        }
        runs
    }

    #[test]
    fn next_run_is_after_and_never_at() {
        let runs = runs("*/20 5 * * *", "UTC", "2026-01-01T05:20:00Z", 3);
        let wanted = [
            "2026-01-01T05:40:00Z",
            "2026-01-02T05:00:00Z",
            "2026-01-02T05:20:00Z",
        ];
        assert_eq!(runs, wanted);
    }

    #[test]
    fn either_day_field_fits_unless_one_is_open() {
        let either = runs("0 0 13 * 5", "UTC", "2026-01-01T00:00:00Z", 3);
        assert_eq!(
            either,
            [
                "2026-01-02T00:00:00Z",
                "2026-01-09T00:00:00Z",
                "2026-01-13T00:00:00Z"
            ]
        );
        let both = runs("0 0 */2 * 5", "UTC", "2026-01-01T00:00:00Z", 2);
        assert_eq!(both, ["2026-01-09T00:00:00Z", "2026-01-23T00:00:00Z"]);
    }

    #[test]
    fn runs_are_on_the_clock_of_the_time_zone() {
        let runs = runs("30 6 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1);
        assert_eq!(runs, ["2026-01-01T01:00:00Z"]);
    }

    #[test]
    fn hour_that_is_leapt_over_has_no_run_and_one_that_repeats_has_two() {
        let zone = "America/New_York";
        let spring = runs("30 2 * * *", zone, "2026-03-07T08:00:00Z", 2);
        assert_eq!(spring, ["2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z"]);
        let autumn = runs("30 1 * * *", zone, "2026-11-01T00:00:00Z", 3);
        assert_eq!(
            autumn,
            [
                "2026-11-01T05:30:00Z",
                "2026-11-01T06:30:00Z",
                "2026-11-02T06:30:00Z"
            ]
        );
        let hourly = runs("0 * * * *", zone, "2026-03-08T06:00:00Z", 2);
        assert_eq!(hourly, ["2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"]);
    }

    #[test]
    fn interval_counts_from_whole_seconds() {
        let runs = runs("@every 90s", "UTC", "2026-01-01T00:00:00.7Z", 2);
        assert_eq!(runs, ["2026-01-01T00:01:30Z", "2026-01-01T00:03:00Z"]);
    }

    #[test]
    fn day_that_never_comes_is_given_up() {
        let never = schedule("0 0 30 2 *", json!("America/New_York"));
        assert_eq!(never.next(Timestamp::UNIX_EPOCH), None);
        let leap = runs("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1);
        assert_eq!(leap, ["2028-02-29T00:00:00Z"]);
    }
}
