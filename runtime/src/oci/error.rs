//! Why a command was not done, in runc's words where callers know them.

use std::fmt::Display;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The command line is wrong; nothing was looked at.
    #[error("{0}")]
    Usage(String),
    #[error("invalid container ID format: {0:?}")]
    Id(String),
    #[error("container does not exist")]
    NotFound,
    #[error("container with given ID already exists")]
    Exists,
    /// The container is not in a state that this can be done in.
    #[error("{0}")]
    Status(String),
    /// The container's first process could not be made or did not get to its program.
    #[error("unable to start container process: {0}")]
    Start(String),
    #[error("{what}: {why}")]
    Failed { what: String, why: String },
    /// As [`Self::Failed`] or whatever it is, with the exit code the caller expects.
    #[error("{source}")]
    Coded {
        code: u8,
        #[source]
        source: Box<Refusal>,
    },
    /// Not all of what was made could be removed again.
    #[error("not all of it could be removed again, use `delete --force`: {0}")]
    Left(#[source] Box<Refusal>),
    /// A command's failure, named.
    #[error("{what} failed: {source}")]
    Command {
        what: String,
        #[source]
        source: Box<Refusal>,
    },
    #[error(transparent)]
    Runtime(#[from] crate::Error),
}

impl Refusal {
    pub fn failed(what: impl Display, why: impl Display) -> Self {
        Self::Failed {
            what: what.to_string(),
            why: why.to_string(),
        }
    }

    /// `create failed: ...`, as runc prefixes some commands' errors.
    pub fn of(self, what: impl Display) -> Self {
        Self::Command {
            what: what.to_string(),
            source: Box::new(self),
        }
    }

    pub fn with_code(self, code: u8) -> Self {
        Self::Coded {
            code,
            source: Box::new(self),
        }
    }

    pub fn code(&self) -> u8 {
        match self {
            Self::Coded { code, .. } => *code,
            _ => 1,
        }
    }
}

/// Names what was tried when an error ends the attempt.
pub trait OrRefuse<T> {
    fn or_refuse(self, what: impl FnOnce() -> String) -> Result<T, Refusal>;
}

impl<T, E: Display> OrRefuse<T> for Result<T, E> {
    fn or_refuse(self, what: impl FnOnce() -> String) -> Result<T, Refusal> {
        self.map_err(|e| Refusal::failed(what(), e))
    }
}
