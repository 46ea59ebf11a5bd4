//! The node's runtime: makes sandboxes, finds them again, removes them all.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use oci_spec::runtime::LinuxResources;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::cgroup::Groups;
use crate::client::Client;
use crate::config::is_plain_name;
use crate::sandbox::{Files, Record};
use crate::seccomp::Compiler;
use crate::{Config, Error, Result, Sandbox, SandboxConfig};

mod kernel;
mod program;

use program::Program;
pub(crate) use program::sealed_copy;

/// How long a monitor may take to come up before its pod is given up.
const MONITOR_PATIENCE: Duration = Duration::from_secs(30);

/// The pods' runtime on one node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    groups: Groups,
    program: Program,
    compiler: Arc<Compiler>,
}

impl Inner {
    fn sandbox(&self, record: Record, files: Files, monitor: Option<u32>) -> Sandbox {
        Sandbox::new(
            record.config,
            files,
            record.groups,
            self.compiler.clone(),
            monitor,
        )
    }
}

impl Runtime {
    /// Checks that this machine can run containers, and makes the run directory.
    ///
    /// # Errors
    /// [`Error::Node`] says what is missing and what to do about it.
    pub fn open(config: Config) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::Node {
                what: "running containers needs root: start skiff with sudo".into(),
            });
        }
        kernel::check()?;
        open_run_dir(&config.run_dir)?;
        let groups = Groups::detect(&config.cgroup_root)?;
        let program = Program::open(&config.monitor, &config.run_dir.join("empty"))?;
        Ok(Self(Arc::new(Inner {
            config,
            groups,
            program,
            compiler: Arc::default(),
        })))
    }

    /// Starts the pod's monitor, which holds the pod's namespaces from then on.
    ///
    /// # Errors
    /// [`Error::Exists`] where the pod already has a sandbox, live or not.
    pub async fn create_sandbox(&self, config: SandboxConfig) -> Result<Sandbox> {
        check(&config)?;
        let files = Files::new(&self.0.config.run_dir, &config.uid);
        let groups = self.0.groups.clone();
        let record = Record {
            config,
            groups,
            logs: self.0.config.logs,
        };
        files.create(&record)?;
        match self.start_monitor(&files, &record).await {
            Ok(pid) => Ok(self.0.sandbox(record, files, Some(pid))),
            Err(e) => {
                let half_made = self.0.sandbox(record, files, None);
                if let Err(left) = half_made.destroy().await {
                    tracing::warn!("clean up after a failed start: {left}");
                }
                Err(e)
            }
        }
    }

    /// Every sandbox there is, as a restarted agent finds them.
    pub async fn sandboxes(&self) -> Result<Vec<Sandbox>> {
        let mut found = Vec::new();
        for uid in self.uids()? {
            match self.find(&uid).await {
                Ok(sandbox) => found.push(sandbox),
                Err(e) => tracing::warn!("pod {uid}: {e}"),
            }
        }
        Ok(found)
    }

    /// Makes a group above those of pods, and sets its limits: `kubepods/burstable`.
    pub fn set_group(&self, path: &Path, resources: &LinuxResources) -> Result<()> {
        crate::cgroup::check_path(path)?;
        let group = self.0.groups.pod(path);
        group.create()?;
        group.apply(resources)
    }

    /// Ends every pod and removes everything this crate ever made here.
    pub async fn remove_everything(&self) -> Result<()> {
        for uid in self.uids()? {
            match self.find(&uid).await {
                Ok(sandbox) => sandbox.destroy().await?,
                // A directory without a record: the agent died while making it.
                Err(_) => {
                    crate::sandbox::remove_tree(Files::new(&self.0.config.run_dir, &uid).dir())?
                }
            }
        }
        let (groups, dir) = (self.0.groups.clone(), self.0.config.run_dir.join("pods"));
        let clean = move || {
            groups
                .remove_all()
                .and_then(|()| crate::sandbox::remove_tree(&dir))
        };
        tokio::task::spawn_blocking(clean)
            .await
            .unwrap_or_else(|e| {
                Err(Error::Node {
                    what: format!("a task of the runtime ended: {e}"),
                })
            })?;
        open_run_dir(&self.0.config.run_dir)
    }

    async fn find(&self, uid: &str) -> Result<Sandbox> {
        let files = Files::new(&self.0.config.run_dir, uid);
        let record = files.record()?;
        let monitor = match Client::new(uid, files.dir()).connect().await {
            Ok(connection) => connection.monitor_pid(),
            Err(_) => None,
        };
        Ok(self.0.sandbox(record, files, monitor))
    }

    fn uids(&self) -> Result<Vec<String>> {
        let dir = self.0.config.run_dir.join("pods");
        let failed = |source| Error::Path {
            what: "read the directory",
            path: dir.clone(),
            source,
        };
        let entries = fs::read_dir(&dir).map_err(failed)?;
        let names = entries
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok());
        Ok(names.filter(|n| is_plain_name(n)).collect())
    }

    /// The monitor gets its listening socket as standard input, says "ready" on
    /// standard output, and complains on standard error.
    async fn start_monitor(&self, files: &Files, record: &Record) -> Result<u32> {
        let failed = |reason: String| Error::Monitor {
            uid: record.config.uid.clone(),
            reason,
        };
        let listener =
            UnixListener::bind(files.socket()).map_err(|e| failed(format!("its socket: {e}")))?;
        let log = fs::File::create(files.dir().join("monitor.log"))
            .map_err(|e| failed(format!("its log: {e}")))?;
        let mut child = Command::new(self.0.program.path())
            .arg0("skiff")
            .args(&self.0.config.monitor.args)
            .arg(files.dir())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)))
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(|e| failed(format!("run {}: {e}", self.0.program.path().display())))?;
        let mut said = String::new();
        let stdout = child.stdout.take().expect("stdout is piped above");
        let mut words = stdout.take(4096);
        match tokio::time::timeout(MONITOR_PATIENCE, words.read_to_string(&mut said)).await {
            Ok(Ok(_)) => ready_pid(&said).ok_or_else(|| failed(said)),
            _ => {
                // It may be half up; a sandbox that was not given out must not live on.
                let _ = child.kill().await;
                Err(failed("it did not come up in time".into()))
            }
        }
    }
}

/// The monitor's process id, where that is what it said.
fn ready_pid(said: &str) -> Option<u32> {
    said.strip_prefix(crate::monitor::READY)?
        .trim()
        .parse()
        .ok()
}

fn check(config: &SandboxConfig) -> Result<()> {
    if !is_plain_name(&config.uid) {
        return Err(Error::Name {
            name: config.uid.clone(),
        });
    }
    crate::cgroup::check_path(&config.cgroup_parent)
}

/// Makes the run directory, and refuses one that others can enter (CVE-2024-25621).
fn open_run_dir(dir: &Path) -> Result<()> {
    let failed = |path: &Path, source: io::Error| Error::Path {
        what: "make the run directory",
        path: path.to_owned(),
        source,
    };
    let pods: PathBuf = dir.join("pods");
    fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    for sub in [&pods, &dir.join("empty")] {
        match crate::sandbox::private_dir().create(sub) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed(sub, e)),
            _ => {}
        }
    }
    fs::set_permissions(&pods, fs::Permissions::from_mode(0o700)).map_err(|e| failed(&pods, e))?;
    let owner = fs::symlink_metadata(&pods).map_err(|e| failed(&pods, e))?;
    if !owner.is_dir() || owner.uid() != 0 {
        return Err(Error::Node {
            what: format!("{} is not a directory of root: remove it", pods.display()),
        });
    }
    Ok(())
}
