//! What can go wrong with images, and who should act.

use std::{io, path::PathBuf};

use crate::{Digest, InvalidReference, registry};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// The image could not be fetched; the sources tell the step and the cause, in containerd's words.
    #[error("failed to pull and unpack image {reference:?}")]
    Pull {
        reference: String,
        source: Box<registry::Error>,
    },
    /// The image was fetched, and is broken.
    #[error("failed to pull and unpack image {reference:?}")]
    Fetched {
        reference: String,
        source: Box<Error>,
    },
    /// Of the operator's file about registries.
    #[error("registries file {}", path.display())]
    Registries {
        path: PathBuf,
        source: Box<registry::Problem>,
    },
    #[error("failed to import {}", path.display())]
    Import { path: PathBuf, source: Box<Error> },
    #[error("image {wanted:?} not found")]
    NotFound { wanted: String },
    #[error("image id {wanted:?} is ambiguous: give more digits")]
    Ambiguous { wanted: String },
    /// Another pull of the same image failed, and this one waited for it.
    #[error("{message}")]
    Shared { message: String, kind: Kind },
    /// The directory belongs to another version of skiff.
    #[error("{} was written by image store version {found}, this skiff reads version {wanted}: use the skiff that wrote it, or remove the directory and pull again", path.display())]
    Version {
        path: PathBuf,
        found: String,
        wanted: u32,
    },
    /// The disk refused.
    #[error("{action} {}", path.display())]
    Disk {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("content is {actual} where {expected} was promised")]
    Digest { expected: Digest, actual: Digest },
    #[error("content is {actual} bytes long where {expected} were promised")]
    Length { expected: u64, actual: u64 },
    /// Untrusted input went past a limit.
    #[error("{what} is over the limit of {limit}")]
    TooLarge { what: &'static str, limit: u64 },
    #[error("{what} is not what it should be")]
    Json {
        what: &'static str,
        source: serde_json::Error,
    },
    #[error("{what}: {problem}")]
    Malformed { what: &'static str, problem: String },
    #[error("no image for platform linux/{architecture} in the index")]
    Platform { architecture: &'static str },
    #[error("media type {0:?} is not an image skiff can run")]
    MediaType(String),
    #[error("layer {layer}")]
    Layer { layer: Digest, source: Box<Error> },
    #[error("entry {name:?}")]
    Entry { name: String, source: io::Error },
    #[error("read the layer's tar stream")]
    Tar(#[source] io::Error),
    #[error("it is neither a docker archive, nor an OCI archive, nor an OCI layout directory")]
    UnknownArchive,
}

/// What a failure means to a caller who only decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no such image.
    NotFound,
    /// The registry wants (other) credentials.
    Unauthorized,
    /// The registry did not answer; a later try may do.
    Unreachable,
    /// The name or the image's content is wrong; trying again is no use.
    Invalid,
    /// This machine's disk.
    Disk,
}

impl Error {
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Pull { source, .. } => source.kind(),
            Self::Import { source, .. }
            | Self::Fetched { source, .. }
            | Self::Layer { source, .. } => source.kind(),
            Self::Shared { kind, .. } => *kind,
            Self::Disk { .. } | Self::Version { .. } => Kind::Disk,
            Self::Entry { source, .. } if source.raw_os_error().is_some() => Kind::Disk,
            _ => Kind::Invalid,
        }
    }

    /// Whether there was no room.
    pub(crate) fn is_of_a_full_disk(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, Self::Disk { source, .. } if full.contains(&source.kind()))
    }

    /// The message with all its causes, as events show it: `failed to …: failed to …: …`.
    pub fn chain(&self) -> String {
        chain(self)
    }

    pub(crate) fn disk(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Disk {
            action,
            path,
            source,
        }
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
