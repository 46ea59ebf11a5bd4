//! Prometheus' text form, version 0.0.4.

use std::fmt::{Display, Write as _};

/// What [`Text`] is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Names with their values, as they are between braces.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(String);

impl Labels {
    pub const NONE: Self = Self(String::new());

    pub fn new(pairs: &[(&str, &str)]) -> Self {
        let mut labels = Self::NONE;
        for (name, value) in pairs {
            labels.push(name, value);
        }
        labels
    }

    pub fn push(&mut self, name: &str, value: &str) {
        self.0.reserve(name.len() + value.len() + 4);
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push_str("=\"");
        if value.bytes().any(|b| matches!(b, b'\\' | b'"' | b'\n')) {
            self.push_escaped(value);
        } else {
            self.0.push_str(value);
        }
        self.0.push('"');
    }

    fn push_escaped(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
    }

    pub fn and(&self, name: &str, value: &str) -> Self {
        let mut more = self.clone();
        more.push(name, value);
        more
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One answer to a scrape. A family's samples follow its head.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    pub fn new() -> Self {
        Self(String::with_capacity(16 * 1024))
    }

    pub fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = kind.word();
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub fn sample(&mut self, name: &str, labels: &Labels, value: impl Display) {
        let _ = match labels.as_str() {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    /// A family of one series without labels.
    pub fn only(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, &Labels::NONE, value);
    }

    pub fn push(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_cannot_end_their_quotes_or_line() {
        let labels = Labels::new(&[("a", "x\"} 1\ny"), ("b", "\\")]);
        assert_eq!(labels.as_str(), r#"a="x\"} 1\ny",b="\\""#);
    }

    #[test]
    fn a_family_is_its_head_and_its_samples() {
        let mut text = Text::new();
        text.only("up", Kind::Gauge, "Whether it is up.", 1);
        text.sample("up", &Labels::new(&[("node", "a")]), 0.5);
        let wanted = "# HELP up Whether it is up.\n# TYPE up gauge\nup 1\nup{node=\"a\"} 0.5\n";
        assert_eq!(text.as_str(), wanted);
    }
}
