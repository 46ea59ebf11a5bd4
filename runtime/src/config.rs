//! What callers ask for: the node's settings, a pod, a container, a process.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Spec};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The node's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Run-time state, root only (0700); best on a tmpfs such as `/run/skiff`.
    pub run_dir: PathBuf,
    /// The one cgroup, below every hierarchy's root, that all groups live in: `/skiff`.
    pub cgroup_root: PathBuf,
    pub monitor: MonitorProgram,
    pub logs: LogLimits,
}

impl Config {
    /// The defaults: monitors are this very binary, `skiff monitor`.
    pub fn new(run_dir: impl Into<PathBuf>, cgroup_root: impl Into<PathBuf>) -> Self {
        Self {
            run_dir: run_dir.into(),
            cgroup_root: cgroup_root.into(),
            monitor: MonitorProgram::default(),
            logs: LogLimits::default(),
        }
    }
}

/// The program that calls [`crate::monitor::main`], and the arguments before ours.
#[derive(Debug, Clone)]
pub struct MonitorProgram {
    pub exe: PathBuf,
    pub args: Vec<String>,
}

impl Default for MonitorProgram {
    fn default() -> Self {
        Self {
            exe: PathBuf::from("/proc/self/exe"),
            args: vec!["monitor".into()],
        }
    }
}

/// When a container's log is rotated, and how many files are kept with the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    pub max_bytes: u64,
    pub max_files: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_bytes: 10 << 20,
            max_files: 5,
        }
    }
}

/// Whose namespace a pod uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    #[default]
    Pod,
    Host,
}

/// Whose process ids the containers of a pod see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidNamespace {
    /// Each container its own; the user's process is pid 1.
    #[default]
    Container,
    /// One for the pod (`shareProcessNamespace`); a reaper of ours is pid 1.
    Pod,
    Host,
}

/// The namespaces of a pod. UTS follows the network, as in Kubernetes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    pub network: Scope,
    pub ipc: Scope,
    pub pid: PidNamespace,
}

/// A pod, as far as the runtime is concerned.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SandboxConfig {
    /// The pod's uid: unique on the node, a plain file name.
    pub uid: String,
    pub namespace: String,
    pub name: String,
    /// Ignored with the host's network: the pod then has the host's name.
    pub hostname: String,
    pub namespaces: Namespaces,
    /// Namespaced sysctls only (`kernel.shm*`, `kernel.msg*`, `kernel.sem`, `fs.mqueue.*`, `net.*`).
    pub sysctls: BTreeMap<String, String>,
    /// Below the node's cgroup root: `kubepods/burstable/pod<uid>`.
    pub cgroup_parent: PathBuf,
    /// The pod's own limits, set on `cgroup_parent`.
    pub resources: Option<LinuxResources>,
    /// Kept and given back by [`crate::Sandbox::config`]; means nothing here.
    pub labels: BTreeMap<String, String>,
}

/// The name of a container: unique in its pod, a plain file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// # Errors
    /// [`Error::Name`] unless it is 1-128 characters of `[A-Za-z0-9_.-]` not starting with a dot.
    pub fn new(id: impl Into<String>) -> Result<Self> {
        let id = id.into();
        if is_plain_name(&id) {
            Ok(Self(id))
        } else {
            Err(Error::Name { name: id })
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `name` can be one component of a path and of nothing else.
pub(crate) fn is_plain_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with('.')
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ContainerId {
    type Error = Error;
    fn try_from(id: String) -> Result<Self> {
        Self::new(id)
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

/// Where a container's root file system comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Rootfs {
    /// A directory, bound as it is; writes go to it.
    Dir(PathBuf),
    /// An overlay, mounted inside the container's own mount namespace. `upper`
    /// and `work` exist, are empty, and are never used for another container.
    Overlay {
        /// The lowest layer first, as [`ContainerConfig`]'s image lists them.
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
    },
}

/// What becomes of a container's standard input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Closed,
    /// Open for as long as the container lives (`stdin: true`).
    Open,
    /// Closed when the first attached client closes it (`stdinOnce: true`).
    Once,
}

/// A container: an OCI spec and a root file system.
///
/// Of the spec, `linux.namespaces` and `linux.cgroupsPath` are not read: the
/// pod's namespaces and its cgroup parent decide. `process.terminal` asks for a tty.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerConfig {
    pub id: ContainerId,
    pub spec: Spec,
    pub rootfs: Rootfs,
    /// The CRI-format log; its directory must exist. `None` keeps no log.
    pub log_path: Option<PathBuf>,
    pub stdin: Stdin,
    /// Kept and given back by [`crate::Sandbox::list`]; means nothing here.
    pub labels: BTreeMap<String, String>,
}

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub additional_gids: Vec<u32>,
}

/// One more process in a running container; what is `None` is as the container's own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Exec {
    pub args: Vec<String>,
    /// `NAME=value`.
    pub env: Option<Vec<String>>,
    pub cwd: Option<PathBuf>,
    pub user: Option<User>,
    pub stdin: bool,
    pub stdout: bool,
    /// Not with a tty, where all output is stdout.
    pub stderr: bool,
    pub tty: bool,
}

impl Exec {
    /// Runs `args` and gives back what they print.
    pub fn new<S: Into<String>>(args: impl IntoIterator<Item = S>) -> Self {
        let args = args.into_iter().map(Into::into).collect();
        Self {
            args,
            stdout: true,
            stderr: true,
            ..Self::default()
        }
    }

    pub(crate) fn cwd(&self) -> Option<&Path> {
        self.cwd.as_deref()
    }
}
