//! Container logs in the CRI format: `<time> stdout F <line>`.
//!
//! A line longer than 16 KiB is cut into parts marked `P`, the last one `F`.
//! The file is rotated by size, always between records.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::poller::Stream;
use crate::LogLimits;

/// The longest part of a line in one record.
const MAX_LINE: usize = 16 << 10;

/// One container's log.
pub struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    limits: LogLimits,
}

/// The unfinished last line of a stream.
#[derive(Default)]
pub struct Unfinished(Vec<u8>);

impl Log {
    pub fn open(path: &Path, limits: LogLimits) -> io::Result<Self> {
        let file = open_file(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            limits,
        })
    }

    pub fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(&self.path, self.limits)?;
        Ok(())
    }

    /// Writes what `data` finishes; the rest waits in `unfinished`.
    pub fn write(
        &mut self,
        stream: Stream,
        unfinished: &mut Unfinished,
        data: &[u8],
        now: Timestamp,
    ) -> io::Result<()> {
        let head = head(stream, now);
        let mut records = Vec::with_capacity(data.len() + 64);
        unfinished.split(data, |mark, line| {
            push_record(&mut records, &head, mark, line)
        });
        self.append(&records, now)
    }

    /// Writes a last line that has no end.
    pub fn finish(
        &mut self,
        stream: Stream,
        unfinished: &mut Unfinished,
        now: Timestamp,
    ) -> io::Result<()> {
        if unfinished.0.is_empty() {
            return Ok(());
        }
        let mut record = Vec::new();
        push_record(
            &mut record,
            &head(stream, now),
            b'F',
            &std::mem::take(&mut unfinished.0),
        );
        self.append(&record, now)
    }

    fn append(&mut self, records: &[u8], now: Timestamp) -> io::Result<()> {
        self.file.write_all(records).inspect_err(|_| {
            // Half a record would spoil the next one.
            let _ = self.file.set_len(self.size);
        })?;
        self.size += records.len() as u64;
        if self.size > self.limits.max_bytes {
            self.rotate(now)?;
        }
        Ok(())
    }

    /// `0.log` becomes `0.log.20261123-050522.123456`, and the oldest go.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(format!(".{}", now.strftime("%Y%m%d-%H%M%S.%6f")));
        fs::rename(&self.path, old)?;
        self.reopen()?;
        let kept = self.limits.max_files.saturating_sub(1) as usize;
        let rotated = self.rotated()?;
        let excess = rotated.len().saturating_sub(kept);
        rotated[..excess].iter().try_for_each(fs::remove_file)
    }

    /// Earlier files, oldest first: their names sort by time.
    fn rotated(&self) -> io::Result<Vec<PathBuf>> {
        let (Some(dir), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Ok(Vec::new());
        };
        let prefix = format!("{}.", name.to_string_lossy());
        let mut found: Vec<PathBuf> = fs::read_dir(dir)?
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with(&prefix))
            .map(|e| e.path())
            .collect();
        found.sort();
        Ok(found)
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    // Never through a link that something in a log directory could have made.
    File::options()
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

fn head(stream: Stream, now: Timestamp) -> String {
    let name = match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    };
    format!("{now:.9} {name} ")
}

fn push_record(records: &mut Vec<u8>, head: &str, mark: u8, line: &[u8]) {
    records.extend_from_slice(head.as_bytes());
    records.extend_from_slice(&[mark, b' ']);
    records.extend_from_slice(line);
    records.push(b'\n');
}

impl Unfinished {
    /// Hands out every line that `data` ends (`F`) and every part that fills a record (`P`).
    fn split(&mut self, data: &[u8], mut record: impl FnMut(u8, &[u8])) {
        let mut rest = data;
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            if self.0.is_empty() && line.len() <= MAX_LINE {
                record(b'F', line);
                continue;
            }
            self.take(line, &mut record);
            record(b'F', &self.0);
            self.0.clear();
        }
        self.take(rest, &mut record);
        if self.0.is_empty() {
            // Most containers write whole lines: they need no buffer of their own.
            self.0 = Vec::new();
        }
    }

    fn take(&mut self, mut part: &[u8], record: &mut impl FnMut(u8, &[u8])) {
        while self.0.len() + part.len() > MAX_LINE {
            let (fits, rest) = part.split_at(MAX_LINE - self.0.len());
            self.0.extend_from_slice(fits);
            record(b'P', &self.0);
            self.0.clear();
            part = rest;
        }
        self.0.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;
