//! Clusters on one machine: the tutorial that most people learn with, and what
//! becomes of a cluster whose machine is switched off.

mod cluster;
mod life;
mod tutorial;

use std::time::Duration;

const PROGRAMS: &[&str] = &[
    "kubectl",
    "skopeo",
    "umoci",
    "mmdebstrap",
    "busybox",
    "nsenter",
];
const A_MINUTE: Duration = Duration::from_secs(60);
const THREE_MINUTES: Duration = Duration::from_secs(180);
