use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no TracingConfiguration", path.display())]
    Syntax {
        path: PathBuf,
        source: serde_yaml::Error,
    },
    /// The message says what to write instead.
    #[error("{}: {what}", path.display())]
    Config { path: PathBuf, what: String },
    #[error("send traces to {endpoint}")]
    Export {
        endpoint: String,
        source: opentelemetry_otlp::ExporterBuildError,
    },
}
