//! What a container is doing, as the kernel tells.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use serde::Serialize;

use super::error::OrRefuse;
use super::group::Owned;
use super::place::{Place, Process, Record};
use super::{Refusal, Result};
use crate::cgroup::Group;

/// For a process that was killed to end; its children end before it.
const LONGEST_END_MS: u16 = 10_000;

/// The life of a container, in the spec's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made, or its maker was killed; only `delete --force` is left.
    Creating,
    /// Its first process waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// All its processes are frozen.
    Paused,
    /// Its first process is gone.
    Stopped,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    pub fn is_alive(self) -> bool {
        matches!(self, Self::Created | Self::Running | Self::Paused)
    }
}

/// A container that was found, and what it is doing.
pub struct Found {
    pub place: Place,
    pub record: Record,
    pub status: Status,
}

impl Found {
    pub fn look(root: &Path, id: &str) -> Result<Self> {
        Self::at(Place::find(root, id)?)
    }

    /// As [`Self::look`], and nobody else changes it meanwhile.
    pub fn lock(root: &Path, id: &str) -> Result<Self> {
        Self::at(Place::lock_found(root, id)?)
    }

    pub fn at(place: Place) -> Result<Self> {
        let record = place.record()?;
        let status = status(&place, &record)?;
        Ok(Self {
            place,
            record,
            status,
        })
    }

    pub fn group(&self) -> Result<Group> {
        Ok(self.owned()?.group)
    }

    pub fn owned(&self) -> Result<Owned> {
        Owned::of(&self.record)
    }

    /// The first process of a container that has one.
    pub fn init(&self) -> Result<Process> {
        match (self.status.is_alive(), self.record.process) {
            (true, Some(process)) => Ok(process),
            _ => Err(Refusal::Status("container not running".into())),
        }
    }
}

fn status(place: &Place, record: &Record) -> Result<Status> {
    let Some(process) = record.process else {
        return Ok(Status::Creating);
    };
    if !process.is_alive()? {
        return Ok(Status::Stopped);
    }
    if !record.is_complete {
        return Ok(Status::Creating);
    }
    if Owned::of(record)?.group.is_frozen()? {
        return Ok(Status::Paused);
    }
    let waits = crate::init::pause::is_waited_for(&place.dir);
    match waits.or_refuse(|| "ask whether the container waits for its start".into())? {
        true => Ok(Status::Created),
        false => Ok(Status::Running),
    }
}

impl Process {
    /// A process that is not reaped yet.
    pub fn of(pid: i32) -> Result<Self> {
        let stat = read_stat(pid)?.ok_or("it is gone");
        let (_, start_time) = stat.or_refuse(|| format!("look at process {pid}"))?;
        Ok(Self { pid, start_time })
    }

    /// # Errors
    /// Where that cannot be told: one that runs is never taken for one that has ended.
    pub fn is_alive(&self) -> Result<bool> {
        let stat = read_stat(self.pid)?;
        let is_it = |(state, start)| start == self.start_time && !matches!(state, 'Z' | 'X');
        Ok(stat.is_some_and(is_it))
    }

    /// Waits for a process that was killed: it leaves its group some moments before it ends.
    pub fn await_end(&self) -> Result<()> {
        let Ok(pidfd) = sys::process::pidfd_open(Pid::from_raw(self.pid)) else {
            return Ok(());
        };
        if !self.is_alive()? {
            return Ok(());
        }
        let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(LONGEST_END_MS)) {
            Ok(0) => Err("it was killed and is still there")
                .or_refuse(|| format!("end process {}", self.pid)),
            ended => ended
                .map(drop)
                .or_refuse(|| format!("wait for process {}", self.pid)),
        }
    }
}

/// The state and the start time of a process (proc_pid_stat(5)); none where it is gone.
fn read_stat(pid: i32) -> Result<Option<(char, u64)>> {
    let path = format!("/proc/{pid}/stat");
    let stat = match fs::read_to_string(&path) {
        // While it was read.
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        stat => stat.or_refuse(|| format!("read {path}"))?,
    };
    let parse = || {
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        Some((state, fields.nth(18)?.parse().ok()?))
    };
    Ok(parse())
}

/// A pid file that was written. It goes again with what is made, unless that is kept.
#[must_use]
pub struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes the process id where the caller wants it, if at all; whole or not at all.
    pub fn write(path: Option<&str>, pid: Pid) -> Result<Self> {
        let Some(text) = path else {
            return Ok(Self(None));
        };
        let what = || format!("write the pid file {text}");
        let path = Path::new(text);
        let name = path.file_name().ok_or("it has no name").or_refuse(what)?;
        let mut new = Self(Some(
            path.with_file_name(format!(".{}", name.to_string_lossy())),
        ));
        new.fill(path, pid).or_refuse(what)?;
        Ok(new)
    }

    fn fill(&mut self, path: &Path, pid: Pid) -> io::Result<()> {
        if let Some(new) = &self.0 {
            fs::File::create(new)?.write_all(pid.to_string().as_bytes())?;
            fs::rename(new, path)?;
        }
        self.0 = Some(path.to_owned());
        Ok(())
    }

    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // The error that has us go says more than a second could.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_of_its_number() {
        let me = Process::of(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive().unwrap());
        let earlier = Process {
            start_time: me.start_time - 1,
            ..me
        };
        assert!(!earlier.is_alive().unwrap());
    }

    #[test]
    fn a_pid_file_is_a_bare_number_and_goes_unless_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let file = PidFile::write(path.to_str(), Pid::from_raw(42)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "42");
        file.keep();
        assert!(path.exists());
        drop(PidFile::write(path.to_str(), Pid::from_raw(43)).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
