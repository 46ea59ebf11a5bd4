//! The runtime against the real kernel: real namespaces, real cgroups, busybox.
//!
//! Needs root and Debian's `busybox-static`; without root every test says that
//! it was skipped. Everything is made below a temporary directory and a cgroup
//! of the test's own, and every test ends by showing that nothing is left.
#![expect(clippy::unwrap_used, reason = "these are tests")]

#[path = "containers/attach.rs"]
mod attach;
#[path = "containers/escapes.rs"]
mod escapes;
#[path = "containers/exec.rs"]
mod exec;
#[path = "containers/identity.rs"]
mod identity;
#[path = "containers/lifecycle.rs"]
mod lifecycle;
#[path = "containers/limits.rs"]
mod limits;
#[path = "containers/logs.rs"]
mod logs;
#[path = "containers/mounts.rs"]
mod mounts;
#[path = "containers/namespaces.rs"]
mod namespaces;
#[path = "containers/node.rs"]
mod node;
#[path = "containers/races.rs"]
mod races;
#[path = "containers/recovery.rs"]
mod recovery;
