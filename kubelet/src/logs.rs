//! Container logs in the CRI format: one line an entry, with time, stream, and
//! whether the container's line ends there.
//!
//! `2026-01-01T00:00:00.000000000Z stdout F text`

use jiff::Timestamp;

pub mod read;

/// One entry of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub time: &'a str,
    pub stream: &'a str,
    /// Whether the container's line goes on in the next entry.
    pub partial: bool,
    pub content: &'a str,
}

impl<'a> Entry<'a> {
    /// Reads one line without its newline; `None` if it is no entry.
    pub fn parse(line: &'a str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        let (stream, rest) = rest.split_once(' ')?;
        let (tags, content) = rest.split_once(' ').unwrap_or((rest, ""));
        let partial = match tags.split(':').next()? {
            "P" => true,
            "F" => false,
            _ => return None,
        };
        Some(Self {
            time,
            stream,
            partial,
            content,
        })
    }

    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }

    /// The content, ended by a newline where the container's line ends.
    pub fn text(&self) -> String {
        if self.partial {
            self.content.to_owned()
        } else {
            format!("{}\n", self.content)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_time_stream_tag_and_content() {
        let entry = Entry::parse("2026-01-01T00:00:00.1Z stderr P a b").unwrap();
        assert_eq!(
            (entry.stream, entry.partial, entry.content),
            ("stderr", true, "a b")
        );
        assert_eq!(
            entry.timestamp().unwrap().as_millisecond(),
            1_767_225_600_100
        );
        assert_eq!(
            Entry::parse("2026-01-01T00:00:00Z stdout F ")
                .unwrap()
                .text(),
            "\n"
        );
        assert_eq!(Entry::parse("rubbish"), None);
    }
}
