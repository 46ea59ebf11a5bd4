use ipnet::Ipv4Net;

use crate::key::Key;
use crate::workload;

/// Why one reconcile gave up; it is tried again with back-off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{verb} {kind} {key}")]
    Api {
        verb: &'static str,
        kind: &'static str,
        key: Key,
        source: kube::Error,
    },
    /// The object cannot be acted on until somebody changes it.
    #[error("{kind} {key} has an unusable selector: {reason}")]
    Selector {
        kind: &'static str,
        key: Key,
        reason: String,
    },
    /// The cluster has more nodes than its pod range has room for.
    #[error(
        "no pod range left for node {node} in {range}; start the server with a larger --cluster-cidr"
    )]
    NoRangeLeft { node: Key, range: Ipv4Net },
    /// Every name that the object could have is another's.
    #[error("create {key}: this name and those tried before are taken; delete what has them")]
    NameTaken { key: Key },
    /// A pod needs the claim, and must wait for its end and a new one.
    #[error("pvc {} is being deleted", key.name)]
    ClaimEnding { key: Key },
}

impl Error {
    pub fn api(
        verb: &'static str,
        kind: &'static str,
        key: &Key,
    ) -> impl FnOnce(kube::Error) -> Self {
        let key = key.clone();
        move |source| Self::Api {
            verb,
            kind,
            key,
            source,
        }
    }

    /// What an event says of it.
    pub fn words(&self) -> String {
        match self {
            Self::Api { source, .. } => workload::words(source),
            other => other.to_string(),
        }
    }

    pub fn is_ending_namespace(&self) -> bool {
        matches!(self, Self::Api { source, .. } if workload::is_ending_namespace(source))
    }

    /// The HTTP status that the API server answered with, if it did.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api {
                source: kube::Error::Api(status),
                ..
            } => Some(status.code),
            _ => None,
        }
    }

    /// Somebody else wrote first, or the object is gone: the watch will say
    /// more, and nobody need read about it.
    pub fn is_expected(&self) -> bool {
        matches!(self.code(), Some(404 | 409))
    }
}
