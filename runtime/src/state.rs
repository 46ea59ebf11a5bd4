//! What the runtime reports: containers, their ends, their use of the node.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ContainerId;

/// A container's first process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// In the host's pid namespace.
    pub pid: u32,
    pub started_at: Timestamp,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// As a shell counts it: 128 + n after signal n.
    pub code: i32,
    pub signal: Option<i32>,
    /// The kernel killed a process of this container for want of memory.
    pub oom_killed: bool,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
}

/// The life of a container, once it has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Its first process lives; next comes `Exited`, or `Lost`.
    Running(Started),
    /// It ended; kept until [`crate::Sandbox::remove`].
    Exited(Exit),
    /// The pod's monitor was killed, and the container with it: the exit code is not known.
    Lost(Started),
}

/// One container of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    pub id: ContainerId,
    pub status: Status,
    pub log_path: Option<PathBuf>,
    pub labels: BTreeMap<String, String>,
}

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// Told again to each new listener until acknowledged or removed.
    Exited { id: ContainerId, exit: Exit },
}

/// What a container uses, read from its cgroup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    pub cpu_usage_ns: u64,
    pub memory_usage_bytes: u64,
    /// Usage without the inactive file cache: what eviction looks at.
    pub memory_working_set_bytes: u64,
    pub memory_rss_bytes: u64,
    pub page_faults: u64,
    pub major_page_faults: u64,
    pub pids: u64,
}
