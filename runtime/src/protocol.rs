//! The words between the agent and a pod's monitor.
//!
//! A frame is a 32-bit little-endian length and that many bytes of JSON; file
//! descriptors travel with its first byte. Containers' specs do not travel: the
//! agent writes them below the sandbox's directory and names the container.

use jiff::Timestamp;
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, ContainerState, Event, Exec, Started};

/// Longer frames are refused unread.
pub const MAX_FRAME: usize = 1 << 20;
/// The most descriptors one frame may carry.
pub const MAX_FDS: usize = 3;

#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Start the container whose `config.json` the agent has just written.
    Start {
        id: ContainerId,
    },
    List,
    Signal {
        id: ContainerId,
        signal: i32,
    },
    Remove {
        id: ContainerId,
    },
    /// The agent has taken note of this container's end.
    Acknowledge {
        id: ContainerId,
    },
    /// From now on this connection carries events, unacknowledged ones first.
    Subscribe,
    /// Descriptors: the ends for stdin, stdout, stderr, as far as asked for; none with a tty.
    Exec {
        id: ContainerId,
        exec: Exec,
    },
    /// Descriptors: stdin to read, stdout and stderr to write, as far as asked for.
    Attach {
        id: ContainerId,
        streams: Streams,
    },
    Resize {
        id: ContainerId,
        width: u16,
        height: u16,
    },
    ReopenLog {
        id: ContainerId,
    },
    Update {
        id: ContainerId,
        resources: Box<LinuxResources>,
    },
    /// Kill everything, leave nothing, exit.
    Destroy,
}

/// Which standard streams a request carries descriptors for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Started(Started),
    Containers(Vec<ContainerState>),
    Event(Event),
    /// With a tty its master end comes along.
    ExecStarted {
        pid: u32,
    },
    ExecExited {
        code: i32,
        at: Timestamp,
    },
    Failed(Failure),
}

/// Why a request was not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Failure {
    NotFound,
    NotRunning,
    /// The container could not be prepared.
    Create(String),
    /// The program could not be run.
    Exec(String),
    Refused(String),
}
