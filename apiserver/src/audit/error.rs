use std::path::PathBuf;

/// Why the audit log cannot be kept; the operator mends the file or the flag.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the audit policy {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the audit policy {} is no Policy of audit.k8s.io/v1", path.display())]
    Parse {
        path: PathBuf,
        source: serde_yaml::Error,
    },
    #[error("the audit policy {}: {field}: {why}", path.display())]
    Invalid {
        path: PathBuf,
        field: String,
        why: &'static str,
    },
    #[error("open the audit log {}", path.display())]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
}
