//! Durations as Go writes them: `1h30m`, `1.5s`.

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// The nanoseconds of a duration.
pub fn parse(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = rest.split_at(end.unwrap_or(rest.len()));
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number * nanos;
        rest = after;
    }
    (total < i64::MAX as f64).then_some((sign * total) as i64)
}

/// As Go prints it.
pub fn text(nanos: i64) -> String {
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let all = nanos.unsigned_abs();
    let short = match all {
        0..1_000 => Some(format!("{all}ns")),
        1_000..1_000_000 => Some(format!("{}µs", fraction(all, 1_000))),
        1_000_000..1_000_000_000 => Some(format!("{}ms", fraction(all, 1_000_000))),
        _ => None,
    };
    if let Some(short) = short {
        return format!("{sign}{short}");
    }
    let minutes = all / 60_000_000_000;
    let seconds = fraction(all % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn fraction(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let rest = format!("{rest:0digits$}");
    format!("{whole}.{}", rest.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_go_does() {
        for (written, nanos, printed) in [
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("90s", 90_000_000_000, "1m30s"),
            ("100ms", 100_000_000, "100ms"),
            ("-2us", -2_000, "-2µs"),
            ("0", 0, "0s"),
        ] {
            assert_eq!(parse(written), Some(nanos), "{written}");
            assert_eq!(text(nanos), printed);
        }
        for bad in ["", "1", "h", "1x", "--1s", "1s2", "é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
