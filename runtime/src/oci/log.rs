//! The log that a caller reads errors from: logrus' text, or JSON.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::error::OrRefuse;
use super::{Refusal, Result, say_error};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

/// Where messages go besides the terminal.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
    format: Format,
    is_debug: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
    Debug,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Debug => "debug",
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: String,
}

impl Log {
    /// What errors go to before the command line is understood.
    pub fn stderr() -> Self {
        Self {
            file: None,
            format: Format::Text,
            is_debug: false,
        }
    }

    pub fn open(path: Option<&str>, format: Option<&str>, is_debug: bool) -> Result<Self> {
        let format = match format {
            None | Some("" | "text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => return Err(Refusal::Usage(format!("invalid log-format: {other}"))),
        };
        let file = match path {
            None | Some("" | "/dev/stderr") => None,
            Some(path) => Some(open(Path::new(path)).or_refuse(|| format!("open the log {path}"))?),
        };
        Ok(Self {
            file,
            format,
            is_debug,
        })
    }

    /// Tells of capabilities that a caller asks for and nobody here knows.
    pub fn leaves_out(&self, capabilities: &[String]) {
        if !capabilities.is_empty() {
            let names = capabilities.join(" ");
            let message = format!("ignoring unknown or unavailable capabilities: [{names}]");
            self.write(Level::Warning, &message);
        }
    }

    /// Tells of what failed and changes nothing.
    pub fn warns_of(&self, done: Result<()>) {
        if let Err(why) = done {
            self.write(Level::Warning, &why.to_string());
        }
    }

    pub fn write(&self, level: Level, message: &str) {
        if level == Level::Debug && !self.is_debug {
            return;
        }
        let line = self.line(level, message);
        // Nobody is left to be told of a log that cannot be written.
        let _ = match self.file.as_ref() {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
        if self.file.is_some() && level == Level::Error {
            say_error(message);
        }
    }

    fn line(&self, level: Level, message: &str) -> String {
        let time = Timestamp::now();
        let time = format!("{time:.0}");
        let level = level.name();
        if self.format == Format::Json {
            let line = Line {
                level,
                msg: message,
                time,
            };
            let line = serde_json::to_string(&line).expect("three strings are JSON");
            return line + "\n";
        }
        format!("time=\"{time}\" level={level} msg={message:?}\n")
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.create(true).append(true).mode(0o644);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_has_what_containerd_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(path.to_str(), Some("json"), false).unwrap();
        log.write(Level::Error, "it said \"no\"");
        log.write(Level::Debug, "not asked for");
        let text = std::fs::read_to_string(path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["level"], "error");
        assert_eq!(line["msg"], "it said \"no\"");
        assert!(line["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
    }

    #[test]
    fn an_unknown_format_is_refused() {
        assert!(Log::open(None, Some("yaml"), false).is_err());
    }
}
