use std::time::Duration;

use kube::core::Status;

use crate::text;

/// Why a collection could not be kept up with just now; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server gave no list.
    #[error("list {path}")]
    List { path: String, source: kube::Error },
    /// The server opened no watch.
    #[error("watch {path}")]
    Watch { path: String, source: kube::Error },
    /// The connection of an open watch failed.
    #[error("read the watch of {path}")]
    Broken { path: String, source: kube::Error },
    /// The server does not answer.
    #[error("no answer from the server about {path} within {longest:?}")]
    Silent { path: String, longest: Duration },
    /// The server ended the watch as soon as it was open, or sent no whole line.
    #[error("watch of {path} ended before it told anything")]
    Short { path: String },
    /// The server ended the watch, and said why.
    #[error("watch of {path} ended by the server: {} ({})", status.message, status.code)]
    Ended { path: String, status: Box<Status> },
    /// The server sent what cannot be an answer.
    #[error("understand what the server tells of {path}")]
    Unreadable { path: String, source: text::Error },
    /// The server sent a line longer than any object.
    #[error("line of more than {limit} bytes in the watch of {path}")]
    TooLong { path: String, limit: usize },
    /// The server did not say how new what it sent is.
    #[error("no metadata.resourceVersion in what the server tells of {path}")]
    NoVersion { path: String },
}
