//! What a pod's task is told.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use runtime::Sandbox;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::set_up;
use crate::probe::Kind;
use crate::record::Exit;
use crate::volumes::Volumes;

/// Volumes, namespaces and address of a pod, all there.
pub struct Up {
    pub volumes: Volumes,
    pub sandbox: Sandbox,
    pub ip: IpAddr,
}

/// What came of an attempt to start a container.
pub enum Launched {
    Running {
        id: String,
        started_at: Timestamp,
        image_id: String,
        has_hook: bool,
    },
    /// The program could not be run: a run that ended at once.
    Ended { exit: Exit, image_id: String },
    /// Something it needs is missing; tried again at `retry_at`.
    Not {
        reason: &'static str,
        message: String,
        retry_at: Instant,
        pull_failed: bool,
    },
}

/// A pod has to go because it, or the node, uses too much.
#[derive(Debug)]
pub struct Evicted {
    pub message: String,
    /// What its containers have to end, whatever the pod says.
    pub grace: Duration,
    /// Whether that is the node's doing and not the pod's own.
    pub is_disruption: bool,
    /// Dropped when nothing is left of the pod.
    pub _done: mpsc::Sender<()>,
}

pub enum Message {
    /// A newer version of the pod's object.
    Changed(Arc<Pod>),
    /// The object is gone from the API.
    Removed,
    SetUp(Result<Box<Up>, set_up::Problem>),
    Launched {
        name: String,
        what: Launched,
    },
    /// A container's process ended.
    Exited {
        id: String,
        exit: runtime::Exit,
    },
    /// The pod's monitor is gone, and all containers with it.
    SandboxLost,
    Probed {
        id: String,
        kind: Kind,
        verdict: bool,
    },
    /// A postStart hook ended; the text is why it failed.
    Started {
        id: String,
        failed: Option<String>,
    },
    /// An object that a volume shows has changed, or a token is due.
    ContentChanged,
    /// The volumes show what there was when this began.
    ContentRefreshed,
    /// The status of this number is written.
    Published(u64),
    /// Namespaces, address and mounts are gone.
    TornDown,
    /// The machine stops: all containers end within this time, none is started.
    MachineStops(Duration),
    /// The pod has to go, and fails.
    Evict(Box<Evicted>),
    /// The disk is full: what is left of ended containers goes. Dropped when it has.
    Reclaim(mpsc::Sender<()>),
    /// The API refused to delete the object; try again.
    DeleteFailed,
}
