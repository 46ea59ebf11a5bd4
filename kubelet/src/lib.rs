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
mod config;
mod dirs;
mod env;
mod error;
mod expand;
#[cfg(test)]
mod fake_api;
mod fields;
mod hosts_file;
mod logs;
mod machine_stop;
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
mod volumes;

pub use config::{Config, Tls};
pub use dirs::remove as remove_dir;
pub use error::{Error, Result};
pub use machine_stop::{MachineStop, ShutdownGrace};
pub use node::pressure::{DEFAULT as DEFAULT_EVICTION_HARD, Thresholds};
pub use run::{remove_everything, run};
