use std::path::PathBuf;

/// What is wrong with a configuration, or with what the store holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the encryption configuration {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The operator should correct the file.
    #[error("the encryption configuration is no EncryptionConfiguration")]
    Parse { source: serde_yaml::Error },
    /// The operator should correct the named field.
    #[error("{field}: {why}")]
    Invalid { field: String, why: String },
    /// A store written with a configuration was started without one.
    #[error(
        "{key} is encrypted in the store and no provider for it is configured: start with the --encryption-provider-config that it was written with"
    )]
    NotConfigured { key: String },
    #[error("look for encrypted objects in the store")]
    Store { source: store::Error },
}

/// Why one value does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration lacks the key; the operator should add it again.
    #[error(
        "it was written with {written}, which the encryption configuration does not have for this resource; its providers are {configured}"
    )]
    NoProvider { written: String, configured: String },
    /// The key has another secret under the same name, or the bytes were changed.
    #[error(
        "the key {name} does not open it: its secret is not the one it was written with, or the stored bytes were changed"
    )]
    WrongKey { name: String },
}
