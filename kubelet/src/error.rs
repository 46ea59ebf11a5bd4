//! What can stop the agent itself; what goes wrong with one pod is told in the
//! pod's status and events instead.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused; the message names the directory to look at.
    #[error("{what} {}", path.display())]
    Path {
        what: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// Another process has the port; give the agent another one.
    #[error("listen on {address} for the kubelet API")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    /// The certificate, key or CA handed in is no valid PEM or does not fit.
    #[error("read the kubelet's {what}: {detail}")]
    Tls { what: &'static str, detail: String },
    /// The API server refuses this node; check the node's certificate.
    #[error("register node {node}")]
    Register {
        node: String,
        source: Box<kube::Error>,
    },
    #[error("find the pods that run here")]
    Runtime(#[from] runtime::Error),
}

pub type Result<T> = std::result::Result<T, Error>;
