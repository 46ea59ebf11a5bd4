//! What a container is doing, as the kernel tells.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

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
    if !process.is_alive() {
        return Ok(Status::Stopped);
    }
    if !record.is_complete {
        return Ok(Status::Creating);
    }
    if Owned::of(record)?.group.is_frozen() {
        return Ok(Status::Paused);
    }
    Ok(match crate::init::pause::is_waited_for(&place.dir) {
        true => Status::Created,
        false => Status::Running,
    })
}

impl Process {
    /// A process that is not reaped yet.
    pub fn of(pid: i32) -> Option<Self> {
        let (_, start_time) = read_stat(pid)?;
        Some(Self { pid, start_time })
    }

    pub fn is_alive(&self) -> bool {
        let stat = read_stat(self.pid);
        stat.is_some_and(|(state, start)| start == self.start_time && !matches!(state, 'Z' | 'X'))
    }

    /// Waits for a process that was killed: it leaves its group some moments before it ends.
    pub fn await_end(&self) -> Result<()> {
        let Ok(pidfd) = sys::process::pidfd_open(Pid::from_raw(self.pid)) else {
            return Ok(());
        };
        if !self.is_alive() {
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

/// The state and the start time of a process (proc_pid_stat(5)).
fn read_stat(pid: i32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Writes the process id where the caller wants it, whole or not at all.
pub fn write_pid_file(path: &str, pid: i32) -> Result<()> {
    let what = || format!("write the pid file {path}");
    let path = Path::new(path);
    let name = path.file_name().ok_or("it has no name").or_refuse(what)?;
    let new = path.with_file_name(format!(".{}", name.to_string_lossy()));
    let write = || {
        fs::File::create(&new)?.write_all(pid.to_string().as_bytes())?;
        fs::rename(&new, path)
    };
    write().or_refuse(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_of_its_number() {
        let me = Process::of(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive());
        let earlier = Process {
            start_time: me.start_time - 1,
            ..me
        };
        assert!(!earlier.is_alive());
    }

    #[test]
    fn a_pid_file_is_a_bare_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        write_pid_file(path.to_str().unwrap(), 42).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "42");
    }
}
