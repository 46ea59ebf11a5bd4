//! A container in the monitor's memory.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::Monitor;
use super::attach::StdinPipe;
use super::log::Log;
use super::output::Output;
use super::poller::Stream;
use crate::cgroup::Group;
use crate::protocol::Failure;
use crate::sandbox::StateFile;
use crate::{ContainerId, ContainerState, Event, Exit, Started, Status};

pub struct Container {
    pub started: Started,
    /// Gone once it has exited.
    pub pidfd: Option<OwnedFd>,
    pub exit: Option<Exit>,
    pub is_acknowledged: bool,
    pub group: Group,
    pub log: Option<Log>,
    pub log_path: Option<PathBuf>,
    pub labels: BTreeMap<String, String>,
    pub stdin: Option<StdinPipe>,
    pub stdout: Output,
    pub stderr: Output,
    /// The master of its terminal.
    pub tty: Option<OwnedFd>,
}

impl Container {
    pub fn output(&mut self, stream: Stream) -> &mut Output {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    pub fn status(&self) -> Status {
        self.exit
            .map_or(Status::Running(self.started), Status::Exited)
    }

    pub fn state(&self, id: &ContainerId) -> ContainerState {
        ContainerState {
            id: id.clone(),
            status: self.status(),
            log_path: self.log_path.clone(),
            labels: self.labels.clone(),
        }
    }

    pub fn event(&self, id: &ContainerId) -> Option<Event> {
        let exit = self.exit.filter(|_| !self.is_acknowledged)?;
        Some(Event::Exited {
            id: id.clone(),
            exit,
        })
    }

    pub fn signal(&self, signal: i32) -> Result<(), Failure> {
        let pidfd = self.pidfd.as_ref().ok_or(Failure::NotRunning)?;
        sys::process::pidfd_send(pidfd.as_fd(), signal).map_err(|e| match e.raw_os_error() {
            Some(libc::ESRCH) => Failure::NotRunning,
            _ => Failure::Refused(format!("send signal {signal}: {e}")),
        })
    }
}

impl Monitor {
    /// Writes down where a container stands, for the day this process is killed.
    pub(super) fn save(&self, id: &ContainerId) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        let state = StateFile {
            status: container.status(),
            acknowledged: container.is_acknowledged,
        };
        if let Err(e) = self.files.write_state(id, &state) {
            eprintln!("container {id}: {e}");
        }
    }
}
