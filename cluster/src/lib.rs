//! A whole cluster on one machine: every node is a real skiff in its own
//! network, mount, pid, uts, ipc and cgroup namespaces, with its own root
//! directory and its own address.
//!
//! Nothing of a cluster is on the machine but its directory ([`Place`]), its
//! processes, its control groups, and the sockets that listen on the machine's
//! behalf. The network that joins the nodes is in a namespace which only the
//! [`supervisor`] knows, so links, routes, forwarding and packet filters of the
//! machine stay as they are; what crosses between the two crosses in userspace.
//! The supervisor's end is the nodes' end, as a machine room's power is:
//! nothing is left running that nobody looks after.
//!
//! This crate reads kind's configuration ([`config`]) and knows no API.

pub mod config;
pub mod control;
mod error;
mod groups;
pub mod kubeconfig;
pub mod launch;
mod place;
pub mod plan;
pub mod supervisor;

pub use error::{Error, Result};
pub use place::Place;
pub use plan::Plan;
