use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong with a cluster on this machine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration asks for something that there is not; its author must change it.
    #[error("{what}")]
    Config { what: String },
    #[error("the configuration is not one of kind's")]
    Syntax { source: serde_yaml::Error },
    #[error("there is no cluster {name:?} in {}; see: skiff cluster list", base.display())]
    Absent { name: String, base: PathBuf },
    #[error(
        "there is a cluster {name:?} already; delete it with: skiff cluster delete --name {name}"
    )]
    Exists { name: String },
    #[error("cluster {name:?} does not run; start it with: skiff cluster start --name {name}")]
    NotRunning { name: String },
    #[error("cluster {name:?} runs already")]
    Running { name: String },
    #[error("{doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// What was written before cannot be read any more.
    #[error("{} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("{doing}")]
    Kernel { doing: String, source: io::Error },
    #[error("the network of the cluster")]
    Network(#[from] netproxy::Error),
    #[error("the control groups of the cluster")]
    Groups(#[from] runtime::Error),
    #[error("listen on {address} for {what}")]
    Listen {
        address: String,
        what: String,
        source: io::Error,
    },
    #[error("node {node}: {what}")]
    Node { node: String, what: String },
    /// What the process that runs the cluster answered.
    #[error("{what}")]
    Refused { what: String },
    #[error("kubeconfig {}: {what}", path.display())]
    Kubeconfig { path: PathBuf, what: String },
    #[error(transparent)]
    Keys(#[from] pki::Error),
}

pub type Result<T> = std::result::Result<T, Error>;

/// For `map_err`: what was tried on which file.
pub fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        doing,
        path,
        source,
    }
}

/// For `map_err`: what the kernel was asked for.
pub fn kernel<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Error {
    let doing = doing.into();
    move |source| Error::Kernel {
        doing,
        source: source.into(),
    }
}

impl Error {
    /// The error and what caused it, in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
