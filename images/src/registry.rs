//! Fetching from OCI distribution registries.

use std::{path::PathBuf, sync::Arc};

use crate::{Credentials, Kind};

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Hosts (`registry.lan:5000`) spoken to by plain HTTP. `localhost` and 127.0.0.0/8 always are.
    pub insecure: Vec<String>,
    /// PEM files of certificate authorities trusted beside the system's.
    pub extra_ca: Vec<PathBuf>,
}

/// Told how far a pull is.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// Bytes of layers fetched, of those that had to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
}

/// One pull's wishes.
#[derive(Clone, Default)]
pub struct PullOptions {
    pub credentials: Option<Credentials>,
    pub progress: Option<OnProgress>,
}

/// A step of talking to a registry that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not yet")]
    NotYet,
}

impl Error {
    pub fn kind(&self) -> Kind {
        Kind::Unreachable
    }
}
