//! Times as Kubernetes writes them.

use jiff::Timestamp;

/// `metav1.Time`: RFC 3339, whole seconds.
pub fn rfc3339(time: Timestamp) -> String {
    let seconds = Timestamp::from_second(time.as_second()).unwrap_or(time);
    format!("{seconds:.0}")
}

/// `metav1.MicroTime`: RFC 3339 with six digits.
pub fn micro(time: Timestamp) -> String {
    format!("{time:.6}")
}

pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_fraction_and_micro_times_six_digits() {
        let time: Timestamp = "2026-11-23T03:29:00.1234567Z".parse().expect("time");
        assert_eq!(rfc3339(time), "2026-11-23T03:29:00Z");
        assert_eq!(micro(time), "2026-11-23T03:29:00.123456Z");
    }
}
