//! A sandbox on disk.
//!
//!     pods/<uid>/sandbox.json      what the pod is; written once
//!                monitor.sock      where its monitor listens
//!                monitor.log       what its monitor has to say
//!                rootfs/           empty; containers mount on it, each in its own namespace
//!                c/<id>/config.json, seccomp.bpf   written by the agent before the start
//!                       state.json                 written by the monitor, at start and end

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{directory, without_monitor};
use crate::cgroup::Groups;
use crate::client::Client;
use crate::seccomp::Compiler;
use crate::state::Status;
use crate::{
    ContainerConfig, ContainerId, ContainerState, Error, LogLimits, Result, SandboxConfig,
};

/// A sandbox's directory.
#[derive(Debug, Clone)]
pub(crate) struct Files(PathBuf);

/// `sandbox.json`: all that a monitor needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub config: SandboxConfig,
    pub groups: Groups,
    pub logs: LogLimits,
}

/// `state.json`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct StateFile {
    pub status: Status,
    pub acknowledged: bool,
}

impl Files {
    pub fn new(run_dir: &Path, uid: &str) -> Self {
        Self(directory(run_dir, uid))
    }

    pub fn at(dir: PathBuf) -> Self {
        Self(dir)
    }

    pub fn dir(&self) -> &Path {
        &self.0
    }

    pub fn socket(&self) -> PathBuf {
        self.0.join("monitor.sock")
    }

    pub fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    pub fn container(&self, id: &ContainerId) -> PathBuf {
        self.0.join("c").join(id.as_str())
    }

    /// Makes the directory and writes the record; says `Exists` where there is one.
    pub fn create(&self, record: &Record) -> Result<()> {
        let uid = &record.config.uid;
        match private_dir().create(&self.0) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists { uid: uid.clone() });
            }
            made => made.map_err(|e| path_error("make the directory", &self.0, e))?,
        }
        for sub in [self.rootfs(), self.0.join("c")] {
            private_dir()
                .create(&sub)
                .map_err(|e| path_error("make the directory", &sub, e))?;
        }
        write_json(&self.0.join("sandbox.json"), record)
    }

    pub fn record(&self) -> Result<Record> {
        read_json(&self.0.join("sandbox.json"))
    }

    /// Writes what the monitor needs to start `container`.
    pub async fn write_container(
        &self,
        container: ContainerConfig,
        compiler: Arc<Compiler>,
    ) -> Result<()> {
        let files = self.clone();
        let write = move || files.write_container_now(&container, &compiler);
        tokio::task::spawn_blocking(write)
            .await
            .unwrap_or_else(|e| {
                Err(Error::Node {
                    what: format!("a task of the runtime ended: {e}"),
                })
            })
    }

    fn write_container_now(&self, container: &ContainerConfig, compiler: &Compiler) -> Result<()> {
        let dir = self.container(&container.id);
        match private_dir().create(&dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let message = format!("container {} is already there", container.id);
                return Err(Error::Create { message });
            }
            made => made.map_err(|e| path_error("make the directory", &dir, e))?,
        }
        self.fill_container(&dir, container, compiler)
            .inspect_err(|_| {
                // The first error is the one to tell.
                let _ = fs::remove_dir_all(&dir);
            })
    }

    fn fill_container(
        &self,
        dir: &Path,
        container: &ContainerConfig,
        compiler: &Compiler,
    ) -> Result<()> {
        let profile = container
            .spec
            .linux()
            .as_ref()
            .and_then(|l| l.seccomp().as_ref());
        if let Some(profile) = profile {
            let filter = compiler.compile(profile)?;
            write_file(&dir.join("seccomp.bpf"), &filter)?;
        }
        write_json(&dir.join("config.json"), container)
    }

    pub fn container_config(&self, id: &ContainerId) -> Result<ContainerConfig> {
        read_json(&self.container(id).join("config.json"))
    }

    pub fn write_state(&self, id: &ContainerId, state: &StateFile) -> Result<()> {
        write_json(&self.container(id).join("state.json"), state)
    }

    pub fn remove_container(&self, id: &ContainerId) -> Result<()> {
        remove_tree(&self.container(id))
    }

    /// The containers that were started, as the files of a dead monitor tell it.
    pub fn containers_without_monitor(&self) -> Result<Vec<ContainerState>> {
        let dir = self.0.join("c");
        let entries = fs::read_dir(&dir).map_err(|e| path_error("read the directory", &dir, e))?;
        let ids = entries
            .flatten()
            .filter_map(|e| ContainerId::new(e.file_name().into_string().ok()?).ok());
        Ok(ids.filter_map(|id| self.lost_container(id)).collect())
    }

    fn lost_container(&self, id: ContainerId) -> Option<ContainerState> {
        let state: StateFile = read_json(&self.container(&id).join("state.json")).ok()?;
        let config = self.container_config(&id).ok()?;
        let status = without_monitor(state.status);
        Some(ContainerState {
            id,
            status,
            log_path: config.log_path,
            labels: config.labels,
        })
    }
}

/// Ends a sandbox whether or not its monitor still lives.
pub async fn destroy(
    client: &Client,
    files: &Files,
    groups: &Groups,
    config: &SandboxConfig,
) -> Result<()> {
    client.destroy().await?;
    let (dir, pod) = (files.dir().to_owned(), groups.pod(&config.cgroup_parent));
    let clean = move || pod.destroy().and_then(|()| remove_tree(&dir));
    tokio::task::spawn_blocking(clean)
        .await
        .unwrap_or_else(|e| {
            Err(Error::Node {
                what: format!("a task of the runtime ended: {e}"),
            })
        })
}

pub(crate) fn private_dir() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

pub(crate) fn path_error(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Path {
        what,
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(path_error("remove", path, e)),
        _ => Ok(()),
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(value).map_err(|e| path_error("write", path, e.into()))?;
    write_file(path, &bytes)
}

/// Replaces the file as a whole: a reader sees the old or the new one.
fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        fs::rename(&new, path)
    };
    write().map_err(|e| path_error("write", path, e))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(|e| path_error("read", path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| path_error("read", path, e.into()))
}
