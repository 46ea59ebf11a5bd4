//! Reading a container's log: the end of it, from a time on, and as it grows.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use pki::Changes;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;

use super::Entry;

/// No line of the file is read further than this.
const MAX_LINE: usize = 1 << 20;

/// What to read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub tail_lines: Option<usize>,
    pub since: Option<Timestamp>,
    pub timestamps: bool,
    pub limit_bytes: Option<u64>,
    pub follow: bool,
    /// `stdout` or `stderr` only.
    pub stream: Option<String>,
}

/// Sends the wanted part of the log at `path` to `sink`; with `follow`, until
/// `ended` resolves and all is read, or nobody listens.
///
/// # Errors
/// The log could not be read.
pub async fn read(
    path: &Path,
    options: &Options,
    sink: &mpsc::Sender<Bytes>,
    ended: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut writer = Writer {
        options,
        sink,
        left: options.limit_bytes,
    };
    let rotated = rotated_files(path).await;
    if let Some(count) = options.tail_lines {
        let mut tail = Tail {
            lines: VecDeque::new(),
            count,
            full_lines: 0,
        };
        for file in rotated.iter().map(PathBuf::as_path) {
            each_line(&mut Reader::open(file).await?, |line| {
                tail.push(line, options)
            })
            .await?;
        }
        let mut reader = Reader::open(path).await?;
        each_line(&mut reader, |line| tail.push(line, options)).await?;
        for line in tail.lines {
            if !writer.write(&line).await {
                return Ok(());
            }
        }
        return if options.follow {
            follow(path, reader, &mut writer, ended).await
        } else {
            Ok(())
        };
    }
    for file in &rotated {
        if !copy(&mut Reader::open(file).await?, &mut writer).await? {
            return Ok(());
        }
    }
    let mut reader = Reader::open(path).await?;
    if copy(&mut reader, &mut writer).await? && options.follow {
        follow(path, reader, &mut writer, ended).await?;
    }
    Ok(())
}

/// Older parts of the log, the oldest first; compressed ones are left out.
async fn rotated_files(path: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Ok(mut entries) = tokio::fs::read_dir(dir).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            let other = entry.file_name().to_string_lossy().into_owned();
            let suffix = other
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('.'));
            if suffix.is_some_and(|suffix| !suffix.ends_with("gz") && !suffix.ends_with("tmp")) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Reads whole lines; what has no newline yet is kept for the next time.
struct Reader {
    file: BufReader<File>,
    inode: u64,
    line: Vec<u8>,
}

impl Reader {
    async fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).await?;
        let inode = file.metadata().await?.ino();
        Ok(Self {
            file: BufReader::with_capacity(64 << 10, file),
            inode,
            line: Vec::new(),
        })
    }

    /// The next complete line; `None` at the present end of the file.
    async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let available = self.file.fill_buf().await?;
            if available.is_empty() {
                return Ok(None);
            }
            let (used, complete) = match available.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (available.len(), false),
            };
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line.extend(&available[..used.min(room)]);
            self.file.consume(used);
            if complete {
                let line = String::from_utf8_lossy(&self.line)
                    .trim_end_matches('\n')
                    .to_owned();
                self.line.clear();
                return Ok(Some(line));
            }
        }
    }
}

async fn each_line(reader: &mut Reader, mut take: impl FnMut(String)) -> io::Result<()> {
    while let Some(line) = reader.next().await? {
        take(line);
    }
    Ok(())
}

/// Copies up to the present end; false once nothing more is wanted.
async fn copy(reader: &mut Reader, writer: &mut Writer<'_>) -> io::Result<bool> {
    while let Some(line) = reader.next().await? {
        if is_wanted(&line, writer.options) && !writer.write(&line).await {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_wanted(line: &str, options: &Options) -> bool {
    let Some(entry) = Entry::parse(line) else {
        return false;
    };
    let late = options
        .since
        .is_none_or(|since| entry.timestamp().is_some_and(|time| time >= since));
    late && options
        .stream
        .as_ref()
        .is_none_or(|stream| entry.stream == stream)
}

/// The last `count` lines of the container, which may be several entries each.
struct Tail {
    lines: VecDeque<String>,
    count: usize,
    full_lines: usize,
}

impl Tail {
    fn push(&mut self, line: String, options: &Options) {
        if !is_wanted(&line, options) || self.count == 0 {
            return;
        }
        let ends = |line: &str| Entry::parse(line).is_some_and(|entry| !entry.partial);
        self.full_lines += usize::from(ends(&line));
        self.lines.push_back(line);
        while self.full_lines > self.count {
            if let Some(dropped) = self.lines.pop_front() {
                self.full_lines -= usize::from(ends(&dropped));
            }
        }
    }
}

struct Writer<'a> {
    options: &'a Options,
    sink: &'a mpsc::Sender<Bytes>,
    left: Option<u64>,
}

impl Writer<'_> {
    /// False once nothing more is wanted.
    async fn write(&mut self, line: &str) -> bool {
        let Some(entry) = Entry::parse(line) else {
            return true;
        };
        let mut text = if self.options.timestamps {
            format!("{} {}", entry.time, entry.text())
        } else {
            entry.text()
        }
        .into_bytes();
        if let Some(left) = &mut self.left {
            text.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= text.len() as u64;
        }
        self.sink.send(text.into()).await.is_ok() && self.left != Some(0)
    }
}

/// Goes on with what is written from now on, by inotify(7): no polling.
async fn follow(
    path: &Path,
    mut reader: Reader,
    writer: &mut Writer<'_>,
    ended: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut changes = Changes::of_content(path)?;
    tokio::pin!(ended);
    let mut is_over = false;
    loop {
        // What was written between the last read and the watch is read here.
        if !copy(&mut reader, writer).await? {
            return Ok(());
        }
        match File::open(path).await {
            // Rotated: the old file is read to its end, the new one goes on.
            Ok(file) if file.metadata().await?.ino() != reader.inode => {
                copy(&mut reader, writer).await?;
                reader = Reader::open(path).await?;
                continue;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound && is_over => return Ok(()),
            _ if is_over => return Ok(()),
            _ => {}
        }
        tokio::select! {
            changed = changes.next() => changed?,
            () = &mut ended => is_over = true,
            () = writer.sink.closed() => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
