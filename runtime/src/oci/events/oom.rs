//! Hearing that a group ran out of memory.
//!
//! On v1 by an event that memory.oom_control is asked for, on v2 by the changes
//! of memory.events: nobody has to look now and then.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::cgroup::Group;

pub enum Watch {
    V1 {
        event: EventFd,
        /// Gone when the group is, which is an event too.
        control: PathBuf,
        _counter: File,
    },
    V2 {
        changes: Inotify,
        group: Group,
        kills: u64,
    },
}

impl Watch {
    /// None where the machine has no controller of memory.
    pub fn open(group: &Group) -> io::Result<Option<Self>> {
        match group.directory("memory").filter(|dir| dir.exists()) {
            None => Ok(None),
            Some(dir) if group.is_v2() => v2(dir.join("memory.events"), group),
            Some(dir) => v1(dir).map(Some),
        }
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::V1 { event, .. } => event.as_fd(),
            Self::V2 { changes, .. } => changes.as_fd(),
        }
    }

    /// Whether it has since this was last asked; waits for nothing.
    pub fn has_happened(&mut self) -> bool {
        match self {
            Self::V1 { event, control, .. } => event.read().is_ok() && control.exists(),
            Self::V2 {
                changes,
                group,
                kills,
            } => {
                // What is read here is only that something has changed.
                while changes.read_events().is_ok_and(|events| !events.is_empty()) {}
                let before = std::mem::replace(kills, group.oom_kills());
                *kills > before
            }
        }
    }
}

fn v1(dir: PathBuf) -> io::Result<Watch> {
    let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
    let counter = File::open(dir.join("memory.oom_control"))?;
    let control = dir.join("cgroup.event_control");
    let pair = format!("{} {}", event.as_raw_fd(), counter.as_raw_fd());
    fs::write(&control, pair)?;
    Ok(Watch::V1 {
        event,
        control,
        _counter: counter,
    })
}

fn v2(file: PathBuf, group: &Group) -> io::Result<Option<Watch>> {
    if !file.exists() {
        return Ok(None);
    }
    let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    changes.add_watch(&file, AddWatchFlags::IN_MODIFY)?;
    Ok(Some(Watch::V2 {
        changes,
        group: group.clone(),
        kills: group.oom_kills(),
    }))
}
