//! Runs the pods of one node.
//!
//! A pod is a [`Sandbox`]: one small monitor process that holds the pod's
//! namespaces, starts its containers, writes their logs and keeps their exit
//! codes. The monitor outlives the agent that started it, so killing or
//! upgrading skiff never touches a container and never loses an exit code or a
//! log line; [`Runtime::sandboxes`] finds everything again.
//!
//! Everything made here lives under `run_dir` and one cgroup subtree, and
//! [`Runtime::remove_everything`] leaves neither behind. This crate knows OCI
//! specs and root file systems; it knows no pods, images or networks.

pub mod defaults;
pub mod monitor;
pub mod oci;
pub mod seccomp;

mod cgroup;
mod client;
mod config;
mod error;
mod init;
mod io;
mod node;
mod place_holder;
mod protocol;
mod sandbox;
mod state;

pub use cgroup::{Group, Hierarchy, Layout};
pub use config::{
    Config, ContainerConfig, ContainerId, Exec, LogLimits, MonitorProgram, Namespaces,
    PidNamespace, Rootfs, SandboxConfig, Scope, Stdin, User,
};
pub use error::Error;
pub use io::{AttachedIo, Input, Output};
pub use node::Runtime;
pub use sandbox::{Events, Running, Sandbox};
pub use state::{ContainerState, Event, Exit, Started, Stats, Status};

/// What every call of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;
