use std::path::PathBuf;

/// What can go wrong with keys, certificates and tokens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk or its permissions are at fault.
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The disk or its permissions are at fault; what was there is still there.
    #[error("write {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The file exists and is not what it should be; restore it from a backup,
    /// or remove it together with what it signed.
    #[error("{} is not a usable {what}", path.display())]
    Damaged {
        path: PathBuf,
        what: &'static str,
        source: rcgen::Error,
    },
    #[error("make a key or certificate for {subject}")]
    Issue {
        subject: String,
        source: rcgen::Error,
    },
    /// The caller sent something that is not a certificate request.
    #[error("the certificate signing request cannot be read")]
    Request { source: rcgen::Error },
    #[error("the certificate cannot be read: {reason}")]
    Certificate { reason: String },
    #[error("the token signing key {} cannot be used", path.display())]
    TokenKey {
        path: PathBuf,
        source: jsonwebtoken::errors::Error,
    },
    /// The operator gave another file than one of public keys.
    #[error("the public keys of {} cannot be used: {reason}", path.display())]
    PublicKey { path: PathBuf, reason: String },
    #[error("sign a token for {subject}")]
    Sign {
        subject: String,
        source: jsonwebtoken::errors::Error,
    },
    /// The bearer must fetch a new token.
    #[error("the token is not valid")]
    Token { source: jsonwebtoken::errors::Error },
    /// The token was made for somebody else.
    #[error("the token is for {found:?}, not for any of {wanted:?}")]
    Audience {
        found: Vec<String>,
        wanted: Vec<String>,
    },
    /// `skiff agent --token` was given something else.
    #[error("the join token is malformed: {reason}; make one with `skiff token create`")]
    JoinToken { reason: &'static str },
}
