//! Durations as `kubectl` prints them in its AGE column, and as Go writes them.

use std::time::Duration;

use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// `45s`, `5m30s`, `3h12m`, `2d4h`, `340d`, `2y40d`.
pub fn human(seconds: i64) -> String {
    // Two seconds of clock difference are no news; more are.
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => pair(seconds, MINUTE, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => pair(seconds, HOUR, "h", MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => pair(seconds, DAY, "d", HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => pair(seconds, YEAR, "y", DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn pair(seconds: i64, big: i64, big_name: &str, small: i64, small_name: &str) -> String {
    let rest = seconds % big / small;
    if rest == 0 {
        return format!("{}{big_name}", seconds / big);
    }
    format!("{}{big_name}{rest}{small_name}", seconds / big)
}

/// `1h30m`, `90s`: Go's way to write durations, whole units only.
pub fn of_go(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(count.checked_mul(unit)?))?;
        rest = &rest[end..];
    }
    Some(total)
}

/// The age of something created at an RFC 3339 time; `<unknown>` without one.
pub fn age(created: Option<&str>, now: Timestamp) -> String {
    let created = created.and_then(|text| text.parse::<Timestamp>().ok());
    match created {
        None => "<unknown>".to_owned(),
        Some(created) => human(now.as_second() - created.as_second()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_lose_precision_as_they_grow() {
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_072_000 + 86_400, "2y1d"),
            (252_288_000, "8y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn an_age_without_a_time_is_unknown() {
        let now = "2026-01-01T00:01:00Z".parse().expect("time");
        assert_eq!(age(None, now), "<unknown>");
        assert_eq!(age(Some("2026-01-01T00:00:00Z"), now), "60s");
    }
}
