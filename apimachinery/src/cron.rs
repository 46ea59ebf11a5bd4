//! Cron schedules: `*/5 * * * *`, `@hourly`, `@every 90s`.

use std::fmt;
use std::time::Duration;

use crate::duration;

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    Fields(Fields),
    Every(Duration),
}

/// One bit a value that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    pub minutes: u64,
    pub hours: u64,
    pub days_of_month: u64,
    pub months: u64,
    /// Sunday is bit 0.
    pub days_of_week: u64,
    /// Where a day field is not `*`, either day field may match.
    pub any_day_of_month: bool,
    pub any_day_of_week: bool,
}

/// Why a schedule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

struct Bounds {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = bounds(0, 59, &[]);
const HOURS: Bounds = bounds(0, 23, &[]);
const DAYS: Bounds = bounds(1, 31, &[]);
const MONTHS: Bounds = bounds(
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
const WEEKDAYS: Bounds = bounds(0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]);

const fn bounds(least: u32, most: u32, names: &'static [&'static str]) -> Bounds {
    Bounds { least, most, names }
}

fn error(text: impl fmt::Display) -> Error {
    Error(text.to_string())
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it, as Kubernetes says it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(error("empty spec string"));
        }
        if text.starts_with('@') {
            return descriptor(text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(error(format!(
                "expected exactly 5 fields, found {}: [{}]",
                fields.len(),
                fields.join(" ")
            )));
        };
        let starred = |field: &str| field.starts_with(['*', '?']);
        Ok(Schedule::Fields(Fields {
            minutes: field(minutes, &MINUTES)?,
            hours: field(hours, &HOURS)?,
            days_of_month: field(days, &DAYS)?,
            months: field(months, &MONTHS)?,
            days_of_week: field(weekdays, &WEEKDAYS)?,
            any_day_of_month: starred(days),
            any_day_of_week: starred(weekdays),
        }))
    }
}

fn descriptor(text: &str) -> Result<Schedule, Error> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => {
            let every = text.strip_prefix("@every ");
            let every = every.ok_or_else(|| error(format!("unrecognized descriptor: {text}")))?;
            let wait = duration::of_go(every.trim()).ok_or_else(|| {
                error(format!(
                    "failed to parse duration {text}: time: invalid duration {every:?}"
                ))
            })?;
            return Ok(Schedule::Every(wait.max(Duration::from_secs(1))));
        }
    };
    Schedule::parse(fields)
}

fn field(text: &str, bounds: &Bounds) -> Result<u64, Error> {
    text.split(',')
        .try_fold(0, |bits, part| Ok(bits | range(part, bounds)?))
}

fn range(text: &str, bounds: &Bounds) -> Result<u64, Error> {
    let mut halves = text.split('/');
    let (span, step, more) = (halves.next().unwrap_or(""), halves.next(), halves.next());
    if more.is_some() {
        return Err(error(format!("too many slashes: {text}")));
    }
    let (start, mut end) = if span == "*" || span == "?" {
        (bounds.least, bounds.most)
    } else {
        let mut ends = span.split('-');
        let (first, last, more) = (ends.next().unwrap_or(""), ends.next(), ends.next());
        if more.is_some() {
            return Err(error(format!("too many hyphens: {text}")));
        }
        let start = number(first, bounds)?;
        (start, last.map_or(Ok(start), |last| number(last, bounds))?)
    };
    let width = match step {
        None => 1,
        Some(step) => number(step, &bounds_without_names())?,
    };
    // `5/15` runs to the end, as `5-59/15` does.
    if step.is_some() && !span.contains('-') {
        end = bounds.most;
    }
    if start < bounds.least {
        return Err(error(format!(
            "beginning of range ({start}) below minimum ({}): {text}",
            bounds.least
        )));
    }
    if end > bounds.most {
        return Err(error(format!(
            "end of range ({end}) above maximum ({}): {text}",
            bounds.most
        )));
    }
    if start > end {
        return Err(error(format!(
            "beginning of range ({start}) beyond end of range ({end}): {text}"
        )));
    }
    if width == 0 {
        return Err(error(format!(
            "step of range should be a positive number: {text}"
        )));
    }
    Ok((start..=end)
        .step_by(width as usize)
        .fold(0, |bits, bit| bits | 1 << bit))
}

const fn bounds_without_names() -> Bounds {
    bounds(0, u32::MAX, &[])
}

fn number(text: &str, bounds: &Bounds) -> Result<u32, Error> {
    let lower = text.to_lowercase();
    if let Some(index) = bounds.names.iter().position(|name| *name == lower) {
        return Ok(bounds.least + index as u32);
    }
    text.parse().map_err(|_| {
        error(format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        match Schedule::parse(text) {
            Ok(Schedule::Fields(fields)) => fields,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn steps_ranges_lists_and_names_become_bits() {
        let schedule = fields("*/20 1-3 1,15 feb mon");
        assert_eq!(schedule.minutes, 1 | 1 << 20 | 1 << 40);
        assert_eq!(schedule.hours, 0b1110);
        assert_eq!(schedule.days_of_month, 1 << 1 | 1 << 15);
        assert_eq!((schedule.months, schedule.days_of_week), (1 << 2, 1 << 1));
        assert!(!schedule.any_day_of_week && fields("@daily").any_day_of_week);
    }

    #[test]
    fn a_bad_schedule_says_why() {
        let why = |text| Schedule::parse(text).expect_err(text).to_string();
        assert_eq!(why("nope"), "expected exactly 5 fields, found 1: [nope]");
        assert_eq!(
            why("61 * * * *"),
            "end of range (61) above maximum (59): 61"
        );
        assert_eq!(why("@never"), "unrecognized descriptor: @never");
        assert!(why("x * * * *").starts_with("failed to parse int from x"));
        assert!(why("*/0 * * * *").starts_with("step of range"));
    }

    #[test]
    fn an_interval_is_at_least_a_second() {
        let every = |text| Schedule::parse(text);
        assert_eq!(
            every("@every 1h30m"),
            Ok(Schedule::Every(Duration::from_secs(5400)))
        );
        assert_eq!(
            every("@every 1ms"),
            Ok(Schedule::Every(Duration::from_secs(1)))
        );
        assert!(every("@every x").is_err());
    }
}
