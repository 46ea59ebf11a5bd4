//! What can go wrong, and who should act.

use std::io;
use std::path::PathBuf;

use crate::ContainerId;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bug of the caller, or a hostile name; nothing was done.
    #[error(
        "{name:?} is no name for a pod or container: wanted 1-128 of [A-Za-z0-9_.-], not starting with a dot"
    )]
    Name { name: String },
    /// The node lacks something the runtime needs; the message says what to do.
    #[error("{what}")]
    Node { what: String },
    /// The file system or the kernel refused.
    #[error("{what} {}: {source}", path.display())]
    Path {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The pod's monitor did not come up.
    #[error("start the monitor of pod {uid}: {reason}")]
    Monitor { uid: String, reason: String },
    /// The pod's monitor is gone, and its containers with it; destroy the sandbox and make a new one.
    #[error("the monitor of pod {uid} is gone: {source}")]
    Lost { uid: String, source: io::Error },
    /// A sandbox of that uid is already here.
    #[error("pod {uid} already has a sandbox")]
    Exists { uid: String },
    #[error("no container {id} in pod {uid}")]
    NotFound { uid: String, id: ContainerId },
    /// Exec, attach, signal to a container that has ended.
    #[error("container {id} is not running")]
    NotRunning { id: ContainerId },
    /// The container could not be prepared: spec, mounts, cgroups (Kubernetes: `CreateContainerError`).
    #[error("{message}")]
    Create { message: String },
    /// All was ready and the program could not be run, in runc's words (Kubernetes: `RunContainerError`, `StartError`, 128).
    #[error("{message}")]
    Exec { message: String },
    /// The monitor refused or failed at the request.
    #[error("{message}")]
    Refused { message: String },
    /// The monitor speaks another version, or memory is damaged.
    #[error("unexpected answer of the monitor of pod {uid}: {detail}")]
    Protocol { uid: String, detail: String },
}
