//! A log file that is put aside when it is full.
//!
//! The file is 0600. Full, it is renamed to `<name>-<time><extension>`, and of
//! those that were put aside the oldest go by number and age, as
//! `--audit-log-max*` say. No library that rotates has both limits and these
//! names, by which operators' tools find Kubernetes' audit logs.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::strtime;

use super::Config;
use super::sink::Out;

const MEBIBYTE: u64 = 1024 * 1024;
const DEFAULT_SIZE: u64 = 100;
const DAY: Duration = Duration::from_secs(24 * 3600);
const FORM: &str = "%Y-%m-%dT%H-%M-%S.%3f";

pub struct File {
    file: fs::File,
    size: u64,
    path: PathBuf,
    limit: u64,
    max_backups: usize,
    max_age: Option<Duration>,
}

impl File {
    pub fn open(config: &Config) -> io::Result<Self> {
        let file = open(&config.log)?;
        let megabytes = match config.max_size {
            0 => DEFAULT_SIZE,
            given => given,
        };
        Ok(Self {
            size: file.metadata()?.len(),
            file,
            path: config.log.clone(),
            limit: megabytes.saturating_mul(MEBIBYTE),
            max_backups: config.max_backups,
            max_age: (config.max_age > 0)
                .then(|| DAY.saturating_mul(u32::try_from(config.max_age).unwrap_or(u32::MAX))),
        })
    }

    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        fs::rename(&self.path, self.aside(now))?;
        self.file = open(&self.path)?;
        self.size = 0;
        self.clean(now);
        Ok(())
    }

    fn aside(&self, now: Timestamp) -> PathBuf {
        let (stem, extension) = names(&self.path);
        let time = strtime::format(FORM, now).unwrap_or_else(|_| now.as_millisecond().to_string());
        self.path
            .with_file_name(format!("{stem}-{time}{extension}"))
    }

    /// Removes what was put aside too long ago, and what is too many.
    fn clean(&self, now: Timestamp) {
        let mut kept = self.backups();
        // Names are times: the newest come first.
        kept.sort_by(|a, b| b.cmp(a));
        for (at, (time, path)) in kept.iter().enumerate() {
            let age = Duration::try_from(now.duration_since(*time)).unwrap_or_default();
            let is_many = self.max_backups > 0 && at >= self.max_backups;
            if (is_many || self.max_age.is_some_and(|max| age > max))
                && let Err(error) = fs::remove_file(path)
            {
                tracing::warn!(path = %path.display(), %error, "remove an old audit log");
            }
        }
    }

    fn backups(&self) -> Vec<(Timestamp, PathBuf)> {
        let (stem, extension) = names(&self.path);
        let time_of = |name: &OsStr| -> Option<Timestamp> {
            let name = name.to_str()?.strip_prefix(&stem)?.strip_prefix('-')?;
            let text = name.strip_suffix(extension.as_str())?;
            let parsed = strtime::parse("%Y-%m-%dT%H-%M-%S%.f", text).ok()?;
            parsed
                .to_datetime()
                .ok()?
                .in_tz("UTC")
                .ok()
                .map(|zoned| zoned.timestamp())
        };
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| Some((time_of(&entry.file_name())?, entry.path())))
            .collect()
    }
}

impl Out for File {
    fn put(&mut self, lines: &[u8]) -> io::Result<()> {
        let size = lines.len() as u64;
        if self.size > 0 && self.size + size > self.limit {
            self.rotate(Timestamp::now())?;
        }
        self.file.write_all(lines)?;
        self.size += size;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path)
}

/// `audit` and `.log`.
fn names(path: &Path) -> (String, String) {
    let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension = path
        .extension()
        .map(|e| format!(".{}", e.to_string_lossy()));
    (text(path.file_stem()), extension.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(dir: &Path, max_backups: usize, max_age: u64) -> File {
        let config = Config {
            policy: PathBuf::new(),
            log: dir.join("audit.log"),
            max_age,
            max_backups,
            max_size: 1,
        };
        File::open(&config).unwrap()
    }

    #[test]
    fn only_the_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = file(dir.path(), 0, 0);
        let mode = fs::metadata(&log.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_of_too_many_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = file(dir.path(), 2, 0);
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for hour in 0..4_i64 {
            log.put(format!("{hour}\n").as_bytes()).unwrap();
            log.rotate(start + jiff::SignedDuration::from_hours(hour))
                .unwrap();
        }
        let mut left: Vec<_> = log.backups().into_iter().map(|(_, path)| path).collect();
        left.sort();
        let texts: Vec<_> = left
            .iter()
            .map(|p| fs::read_to_string(p).unwrap())
            .collect();
        assert_eq!(texts, ["2\n", "3\n"]);
        assert!(
            left[0].ends_with("audit-2026-01-01T02-00-00.000.log"),
            "{left:?}"
        );
    }

    #[test]
    fn what_was_put_aside_too_long_ago_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = file(dir.path(), 0, 1);
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        log.rotate(start).unwrap();
        log.rotate(start + jiff::SignedDuration::from_hours(25))
            .unwrap();
        assert_eq!(log.backups().len(), 1);
    }

    #[test]
    fn lines_that_do_not_fit_start_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = file(dir.path(), 0, 0);
        log.put(&vec![b'x'; 700 << 10]).unwrap();
        log.put(&vec![b'y'; 700 << 10]).unwrap();
        assert_eq!(log.backups().len(), 1);
        assert_eq!(fs::metadata(&log.path).unwrap().len(), 700 << 10);
    }
}
