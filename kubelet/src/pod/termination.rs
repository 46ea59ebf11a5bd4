//! The message a container leaves behind when it ends.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use k8s_openapi::api::core::v1::Container;

use crate::dirs::PodDirs;
use crate::logs;

/// A message is cut to its last this many bytes.
const MAX_MESSAGE: u64 = 4096;
/// What is taken from the log instead: bytes and lines.
const MAX_LOG: u64 = 2048;
const MAX_LOG_LINES: usize = 80;

/// What the run wrote to its message file; where the pod asks for it, and
/// there is nothing after a failure, the end of its log.
pub async fn message(
    dirs: &PodDirs,
    container: &Container,
    attempt: u32,
    code: i32,
) -> Option<String> {
    let file = dirs
        .container(&container.name, attempt)
        .join("termination-log");
    let written = read_end(&file, MAX_MESSAGE).filter(|text| !text.is_empty());
    let fall_back = container.termination_message_policy.as_deref()
        == Some("FallbackToLogsOnError")
        && code != 0;
    if written.is_some() || !fall_back {
        return written;
    }
    let log = read_end(&dirs.log(&container.name, attempt), MAX_LOG * 8)?;
    Some(end_of_log(&log)).filter(|text| !text.is_empty())
}

fn end_of_log(log: &str) -> String {
    let entries: Vec<_> = log.lines().filter_map(logs::Entry::parse).collect();
    let from = entries.len().saturating_sub(MAX_LOG_LINES);
    let text: String = entries[from..].iter().map(|entry| entry.text()).collect();
    let mut start = text.len().saturating_sub(MAX_LOG as usize);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

fn read_end(path: &Path, most: u64) -> Option<String> {
    let mut file = std::fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_log_is_without_times_and_streams() {
        let log = "2026-01-01T00:00:00.1Z stdout F line1\n2026-01-01T00:00:00.2Z stderr P li\n2026-01-01T00:00:00.2Z stderr F ne2\n";
        assert_eq!(end_of_log(log), "line1\nline2\n");
    }

    #[tokio::test]
    async fn the_message_file_wins_and_is_cut_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = PodDirs::new(dir.path(), dir.path(), "ns", "p", "u").unwrap();
        let root = dirs.container("c", 0);
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("termination-log"), "x".repeat(10_000)).unwrap();
        let container = Container {
            name: "c".into(),
            ..Container::default()
        };
        assert_eq!(message(&dirs, &container, 0, 2).await.unwrap().len(), 4096);
    }
}
