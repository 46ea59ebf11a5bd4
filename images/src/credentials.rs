//! What a registry is shown to let a pull through.

use std::fmt;

/// Proof of who pulls.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Credentials {
    Basic {
        username: String,
        password: String,
    },
    /// An OAuth2 refresh token, exchanged at the registry's token server.
    Identity {
        token: String,
    },
    /// A token that the registry itself takes as `Bearer`.
    Registry {
        token: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Basic({username}, …)"),
            Self::Identity { .. } => f.write_str("Identity(…)"),
            Self::Registry { .. } => f.write_str("Registry(…)"),
        }
    }
}
