//! Failures of talking to a registry, in containerd's words: users search the web for them.

use http::{Method, StatusCode};

use crate::{Kind, error::chain};

/// A step of talking to a registry that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to resolve reference {reference:?}")]
    Resolve {
        reference: String,
        source: Box<Error>,
    },
    #[error("failed to copy")]
    Copy { source: Box<Error> },
    #[error("failed to do request: {} {url:?}", go_name(method))]
    Request {
        method: Method,
        url: String,
        source: Cause,
    },
    #[error("{what}: not found")]
    NotFound { what: String },
    #[error(
        "pull access denied, repository does not exist or may require authorization: {message}"
    )]
    Denied { message: String },
    #[error("failed to authorize: failed to fetch {whose} token")]
    Token {
        whose: &'static str,
        source: Box<Error>,
    },
    #[error("unexpected status from {method} request to {url}: {status}")]
    Status {
        method: Method,
        url: String,
        status: StatusCode,
    },
    #[error("registry {host:?} answers what no registry may: {problem}")]
    Answer { host: String, problem: String },
    #[error("read the certificates or the key in {path:?}")]
    Pem {
        path: String,
        source: rustls_pki_types::pem::Error,
    },
    #[error("read the certificate and key in {path:?}")]
    Identity { path: String, source: rustls::Error },
    /// A registry and its mirrors.
    #[error("{}", failed.iter().map(|(host, error)| format!("{host}: {}", chain(error))).collect::<Vec<_>>().join("; "))]
    Everywhere { failed: Vec<(String, Error)> },
    /// What came is not what was promised, or the disk refused it.
    #[error(transparent)]
    Content(Box<crate::Error>),
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error("dial tcp {address}: connect: {problem}")]
    Dial { address: String, problem: String },
    #[error("dial tcp: lookup {host}: no such host")]
    Lookup { host: String },
    #[error("dial tcp {address}: i/o timeout")]
    Timeout { address: String },
    #[error("http: server gave HTTP response to HTTPS client")]
    PlainServer,
    #[error("tls: {0}")]
    Tls(String),
    #[error("{0}")]
    Http(String),
}

impl Error {
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Denied { .. } | Self::Token { .. } => Kind::Unauthorized,
            Self::Resolve { source, .. } | Self::Copy { source } => source.kind(),
            Self::Content(error) => error.kind(),
            Self::Request { .. } | Self::Status { .. } => Kind::Unreachable,
            Self::Answer { .. } | Self::Pem { .. } | Self::Identity { .. } => Kind::Invalid,
            Self::Everywhere { failed } => failed.last().map_or(Kind::NotFound, |(_, e)| e.kind()),
        }
    }

    /// Of a pull that was tried at each of these hosts.
    pub(crate) fn of_all(mut failed: Vec<(String, Self)>) -> Self {
        match failed.pop() {
            Some((_, only)) if failed.is_empty() => only,
            last => {
                failed.extend(last);
                Self::Everywhere { failed }
            }
        }
    }

    /// Worth another try within the same pull.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Request { source, .. } => !matches!(source, Cause::PlainServer | Cause::Tls(_)),
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Content(Box::new(error))
    }
}

fn go_name(method: &Method) -> &str {
    match method.as_str() {
        "GET" => "Get",
        "HEAD" => "Head",
        "POST" => "Post",
        other => other,
    }
}
