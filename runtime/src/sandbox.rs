//! A pod as the agent sees it: a handle on the pod's monitor.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::Signal;
use oci_spec::runtime::LinuxResources;

use crate::cgroup::Groups;
use crate::client::{Client, Connection, failure};
use crate::protocol::{Failure, Reply, Request, Streams};
use crate::seccomp::Compiler;
use crate::state::Status;
use crate::{
    AttachedIo, ContainerConfig, ContainerId, ContainerState, Error, Event, Exec, Input, Output,
    Result, SandboxConfig, Started, Stats,
};

mod exec;
mod files;

pub use exec::Running;
pub(crate) use files::{Files, Record, StateFile, private_dir, remove_tree};

/// A pod's sandbox. Cheap to clone; dropping it stops nothing.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: SandboxConfig,
    files: Files,
    client: Client,
    groups: Groups,
    compiler: Arc<Compiler>,
    monitor: Option<u32>,
}

impl Sandbox {
    /// `monitor` is its process id, or `None` where it was found dead.
    pub(crate) fn new(
        config: SandboxConfig,
        files: Files,
        groups: Groups,
        compiler: Arc<Compiler>,
        monitor: Option<u32>,
    ) -> Self {
        let client = Client::new(&config.uid, files.dir());
        Self(Arc::new(Inner {
            config,
            files,
            client,
            groups,
            compiler,
            monitor,
        }))
    }

    pub fn uid(&self) -> &str {
        &self.0.config.uid
    }

    /// As given to [`crate::Runtime::create_sandbox`].
    pub fn config(&self) -> &SandboxConfig {
        &self.0.config
    }

    /// Whether the monitor lived when this handle was made. A sandbox that is
    /// not live still lists and can be destroyed, and nothing else.
    pub fn is_live(&self) -> bool {
        self.0.monitor.is_some()
    }

    /// The process that holds the pod's namespaces.
    pub fn monitor_pid(&self) -> Option<u32> {
        self.0.monitor
    }

    /// The pod's network namespace; `None` where the pod uses the host's.
    pub fn netns(&self) -> Option<PathBuf> {
        let is_own = self.0.config.namespaces.network == crate::Scope::Pod;
        let pid = self.0.monitor.filter(|_| is_own)?;
        Some(PathBuf::from(format!("/proc/{pid}/ns/net")))
    }

    /// Creates a container and starts its program.
    ///
    /// # Errors
    /// [`Error::Create`] before the program was tried, [`Error::Exec`] where it could not be run.
    pub async fn start(&self, container: ContainerConfig) -> Result<Started> {
        let id = container.id.clone();
        let compiler = self.0.compiler.clone();
        self.0.files.write_container(container, compiler).await?;
        let started = self.ask(&id, Request::Start { id: id.clone() }).await;
        match started {
            Ok(Reply::Started(started)) => Ok(started),
            Ok(other) => Err(self.unexpected(&other)),
            Err(e) => {
                // Nothing runs: what was written for it must not look like a container.
                self.0.files.remove_container(&id)?;
                Err(e)
            }
        }
    }

    /// Every container that was started and not removed.
    pub async fn list(&self) -> Result<Vec<ContainerState>> {
        match self.0.client.call(&Request::List).await {
            Ok(Reply::Containers(states)) => Ok(states),
            Ok(other) => Err(self.unexpected(&other)),
            Err(Error::Lost { .. }) => self.0.files.containers_without_monitor(),
            Err(e) => Err(e),
        }
    }

    /// Sends `signal` to the container's first process.
    pub async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<()> {
        let signal = signal as i32;
        self.done(
            id,
            Request::Signal {
                id: id.clone(),
                signal,
            },
        )
        .await
    }

    /// Forgets a container that has ended; one that runs is refused.
    pub async fn remove(&self, id: &ContainerId) -> Result<()> {
        match self.done(id, Request::Remove { id: id.clone() }).await {
            // Its files go from here: a slow disk must not hold the monitor up.
            Ok(()) | Err(Error::Lost { .. }) => self.0.files.remove_container(id),
            refused => refused,
        }
    }

    /// Stops [`Event::Exited`] of this container from being told again.
    pub async fn acknowledge(&self, id: &ContainerId) -> Result<()> {
        self.done(id, Request::Acknowledge { id: id.clone() }).await
    }

    /// Listens to what happens, beginning with what was not acknowledged.
    pub async fn events(&self) -> Result<Events> {
        let mut connection = self.0.client.connect().await?;
        connection.send(&Request::Subscribe, &[]).await?;
        Ok(Events { connection })
    }

    /// Runs one more process in a running container.
    ///
    /// # Errors
    /// [`Error::NotRunning`]; [`Error::Exec`] where the program could not be run.
    pub async fn exec(&self, id: &ContainerId, exec: Exec) -> Result<Running> {
        exec::start(&self.0.client, self.uid(), id, exec).await
    }

    /// Joins a running container's own streams; only what is asked for and open is given.
    pub async fn attach(
        &self,
        id: &ContainerId,
        stdin: bool,
        stdout: bool,
        stderr: bool,
    ) -> Result<AttachedIo> {
        let pipe = || sys::pipe().map_err(|e| exec::pipe_error(&e));
        let (input, output, errors) = (
            stdin.then(pipe).transpose()?,
            stdout.then(pipe).transpose()?,
            stderr.then(pipe).transpose()?,
        );
        let mut connection = self.0.client.connect().await?;
        let ends: Vec<&OwnedFd> = [
            input.as_ref().map(|p| &p.0),
            output.as_ref().map(|p| &p.1),
            errors.as_ref().map(|p| &p.1),
        ]
        .into_iter()
        .flatten()
        .collect();
        let fds: Vec<_> = ends.iter().map(|fd| fd.as_fd()).collect();
        let streams = Streams {
            stdin,
            stdout,
            stderr,
        };
        connection
            .send(
                &Request::Attach {
                    id: id.clone(),
                    streams,
                },
                &fds,
            )
            .await?;
        self.expect_done(id, connection.reply().await?)?;
        let open = |e: std::io::Error| exec::pipe_error(&e);
        Ok(AttachedIo {
            stdin: input.map(|p| Input::new(p.1)).transpose().map_err(open)?,
            stdout: output.map(|p| Output::new(p.0)).transpose().map_err(open)?,
            stderr: errors.map(|p| Output::new(p.0)).transpose().map_err(open)?,
        })
    }

    /// Sets the size of the container's tty.
    pub async fn resize(&self, id: &ContainerId, width: u16, height: u16) -> Result<()> {
        self.done(
            id,
            Request::Resize {
                id: id.clone(),
                width,
                height,
            },
        )
        .await
    }

    /// Opens the log file anew, after someone has renamed it.
    pub async fn reopen_log(&self, id: &ContainerId) -> Result<()> {
        self.done(id, Request::ReopenLog { id: id.clone() }).await
    }

    /// Changes a running container's limits.
    pub async fn update(&self, id: &ContainerId, resources: LinuxResources) -> Result<()> {
        let resources = Box::new(resources);
        self.done(
            id,
            Request::Update {
                id: id.clone(),
                resources,
            },
        )
        .await
    }

    /// What a container uses now.
    pub async fn stats(&self, id: &ContainerId) -> Result<Stats> {
        self.0
            .groups
            .container(&self.0.config.cgroup_parent, id.as_str())
            .stats()
    }

    /// What the whole pod uses now.
    pub async fn pod_stats(&self) -> Result<Stats> {
        self.0.groups.pod(&self.0.config.cgroup_parent).stats()
    }

    /// Kills every process of the pod and removes all that was made for it.
    pub async fn destroy(self) -> Result<()> {
        files::destroy(
            &self.0.client,
            &self.0.files,
            &self.0.groups,
            &self.0.config,
        )
        .await
    }

    async fn ask(&self, id: &ContainerId, request: Request) -> Result<Reply> {
        match self.0.client.call(&request).await? {
            Reply::Failed(why) => Err(failure(self.uid(), id, why)),
            reply => Ok(reply),
        }
    }

    async fn done(&self, id: &ContainerId, request: Request) -> Result<()> {
        let reply = self.ask(id, request).await?;
        self.expect_done(id, reply)
    }

    fn expect_done(&self, id: &ContainerId, reply: Reply) -> Result<()> {
        match reply {
            Reply::Done => Ok(()),
            Reply::Failed(why) => Err(failure(self.uid(), id, why)),
            other => Err(self.unexpected(&other)),
        }
    }

    fn unexpected(&self, reply: &Reply) -> Error {
        Error::Protocol {
            uid: self.uid().to_owned(),
            detail: format!("{reply:?}"),
        }
    }
}

/// The pod's events, as they come.
#[derive(Debug)]
pub struct Events {
    connection: Connection,
}

impl Events {
    /// The next event.
    ///
    /// # Errors
    /// [`Error::Lost`] when the monitor is gone: by [`Sandbox::destroy`], or killed.
    pub async fn next(&mut self) -> Result<Event> {
        match self.connection.reply().await? {
            Reply::Event(event) => Ok(event),
            Reply::Failed(Failure::Refused(message)) => Err(Error::Refused { message }),
            other => Err(self.connection.protocol(format!("{other:?}"))),
        }
    }
}

/// The status a record on disk has once its monitor is dead.
pub(crate) fn without_monitor(status: Status) -> Status {
    match status {
        Status::Running(started) => Status::Lost(started),
        ended => ended,
    }
}

/// Where a sandbox's files are below the run directory.
pub(crate) fn directory(run_dir: &Path, uid: &str) -> PathBuf {
    run_dir.join("pods").join(uid)
}
