//! The node agent: runs the pods that the API gives to this node.
//!
//! One task a pod, driven by events: the API's watch, the runtime's events,
//! probes' verdicts, times. Nothing polls. The agent can be killed at any
//! moment: containers go on, and the next agent finds them, their logs and the
//! exit codes of those that ended meanwhile.
//!
//! * [`run`] is the whole agent; [`Config`] is what it must be told.
//! * [`remove_everything`] undoes what the agent itself mounted and wrote; pods
//!   and network are undone by `runtime` and `netproxy`.
//!
//! This crate decides; it mounts no root file systems, creates no namespaces
//! and forwards no packets.

mod action;
mod admission;
mod agent;
mod back_off;
mod bound_file;
mod clock;
mod config;
mod dirs;
mod env;
mod error;
mod eviction;
mod expand;
#[cfg(test)]
mod fake_api;
mod fields;
mod garbage;
mod hosts_file;
mod logs;
mod machine_stop;
mod metrics;
mod node;
mod objects;
mod plan;
mod pod;
mod pod_events;
mod pods;
mod probe;
mod pull_secrets;
mod qos_cgroups;
mod record;
mod resolv_conf;
mod resources;
mod run;
mod server;
mod service_env;
mod services;
mod spec;
mod status;
mod storage;
mod traced;
mod volumes;

pub use config::{Config, Tls};
pub use dirs::remove as remove_dir;
pub use error::{Error, Result};
pub use eviction::{
    DEFAULT_HARD as DEFAULT_EVICTION_HARD, Eviction, GracePeriods, MinimumReclaim, Thresholds,
};
pub use garbage::ImageGc;
pub use machine_stop::{MachineStop, ShutdownGrace};
pub use run::{remove_everything, run};
