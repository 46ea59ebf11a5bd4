//! Where skiff's log goes: to stderr, for people with the time of each line, for the journal with its level.
//!
//! The journal keeps the time itself, and takes a line's level from what it
//! begins with (sd-daemon(3)): `journalctl -p warning -u skiff-server`.

mod json;

use std::fmt;
use std::os::unix::fs::MetadataExt;

use anyhow::Context;
use clap::Args;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

#[derive(Args, Clone, Debug)]
pub struct LogFlags {
    /// How much is logged: error, warn, info, debug, trace; also by part, as warn,kubelet=debug
    #[arg(long, default_value = "warn", value_name = "LEVEL", env = "RUST_LOG")]
    pub log_level: String,

    /// What lines of the log are: text for people, or JSON for programs
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogFlags {
    /// Turns the log on, once a process.
    pub fn start(&self) -> anyhow::Result<()> {
        let filter = EnvFilter::try_new(&self.log_level)
            .with_context(|| format!("--log-level {:?}", self.log_level))?;
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false);
        match (self.log_format, is_journal()) {
            (LogFormat::Json, false) => lines.event_format(json::Json).init(),
            (LogFormat::Json, true) => lines.event_format(Journal(json::Json)).init(),
            (LogFormat::Text, true) => lines.event_format(Journal::text()).init(),
            (LogFormat::Text, false) => lines.init(),
        }
        Ok(())
    }
}

/// An error that ends skiff, as stderr's reader wants it.
pub fn last_words(words: &str) {
    if is_journal() {
        eprint!("{}", prefixed(Level::ERROR, words));
    } else {
        eprintln!("{words}");
    }
}

/// Whether stderr goes to systemd's journal (systemd.exec(5), $JOURNAL_STREAM).
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// Lines of another format, each with its level in front.
struct Journal<F>(F);

impl Journal<Format<Full, ()>> {
    /// Text without a time: the journal has it.
    fn text() -> Self {
        let text = Format::default().without_time();
        Self(text.with_level(false).with_ansi(false))
    }
}

impl<S, N, F> FormatEvent<S, N> for Journal<F>
where
    F: FormatEvent<S, N>,
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        self.0
            .format_event(context, Writer::new(&mut text), event)?;
        writer.write_str(&prefixed(*event.metadata().level(), &text))
    }
}

/// Every line with the level, since each is an entry of its own.
fn prefixed(level: Level, text: &str) -> String {
    let level = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    let lines = text.trim_end().lines();
    lines.map(|line| format!("<{level}>{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[test]
    fn every_line_of_an_entry_bears_its_level() {
        assert_eq!(prefixed(Level::ERROR, "a\nb\n"), "<3>a\n<3>b\n");
        assert_eq!(prefixed(Level::DEBUG, "a"), "<7>a\n");
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of one warning.
    fn logged<F>(format: F) -> String
    where
        F: FormatEvent<tracing_subscriber::Registry, DefaultFields> + Send + Sync + 'static,
    {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(format)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(pod = "web", "it waits");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn journal_lines_have_a_level_and_no_time() {
        let text = logged(Journal::text());
        assert!(text.starts_with("<4>"), "{text}");
        assert!(text.ends_with("it waits pod=\"web\"\n"), "{text}");
    }

    #[test]
    fn journal_lines_of_json_have_their_level_too() {
        let text = logged(Journal(json::Json));
        let line = text.strip_prefix("<4>").unwrap();
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["pod"], &line["level"]),
            (&"web".into(), &"WARN".into())
        );
    }
}
