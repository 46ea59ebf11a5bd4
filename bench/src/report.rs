//! Figures as people read them.

use std::time::Duration;

/// One measured thing beside what it is measured against.
pub struct Line<'a> {
    pub what: &'a str,
    pub measured: String,
    /// What Kubernetes did on the same machine, and how many times better this is.
    pub peer: Option<(&'a str, f64)>,
    pub goal: &'a str,
}

impl Line<'_> {
    pub fn print(&self) {
        println!("{:<8} {}", self.what, self.measured);
        if let Some((peer, times)) = self.peer {
            println!(
                "{:<8}   Kubernetes here: {peer}, so {times:.1} times better",
                ""
            );
        }
        println!("{:<8}   goal: {}", "", self.goal);
    }
}

/// `1234567.8` as `1,234,568`.
pub fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(number(1_234_567.8), "1,234,568");
        assert_eq!(number(999.0), "999");
    }
}
