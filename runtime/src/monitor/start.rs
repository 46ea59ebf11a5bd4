//! Starting containers, and more processes in them.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sched::CloneFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use oci_spec::runtime::{Process, Spec, User};
use sys::process::Cloned;

use super::Monitor;
use super::attach::{StdinPipe, set_nonblocking};
use super::children::{Starting, What};
use super::container::Container;
use super::log::Log;
use super::output::Output;
use super::poller::{Source, Token};
use crate::cgroup::Group;
use crate::config::PidNamespace;
use crate::init::{self, Filter, Stdio};
use crate::protocol::Failure;
use crate::{ContainerConfig, ContainerId, Exec, Started, Stdin};

/// A process that has been made and has not yet executed its program.
struct Forked {
    pid: nix::unistd::Pid,
    pidfd: OwnedFd,
    sync: OwnedFd,
}

/// The monitor's ends of a container's streams.
#[derive(Default)]
struct Ends {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

fn create(what: &str) -> impl Fn(&dyn std::error::Error) -> Failure {
    move |e| Failure::Create(format!("{what}: {e}"))
}

impl Monitor {
    pub(super) fn start(&mut self, id: &ContainerId, asked_by: Token) -> Result<(), Failure> {
        let config = self
            .files
            .container_config(id)
            .map_err(|e| create("read its config")(&e))?;
        let group = self
            .record
            .groups
            .container(&self.record.config.cgroup_parent, id.as_str());
        // Before the fork: afterwards nothing may fail but the child.
        let log = self.open_log(&config)?;
        let started = self
            .fork_container(&config, &group)
            .and_then(|(forked, ends)| {
                let container = container(&config, group.clone(), log, ends);
                let what = What::Container {
                    id: config.id,
                    container: Box::new(container),
                    stdin: config.stdin,
                };
                self.await_exec(forked, asked_by, what)
            });
        started.inspect_err(|_| {
            // What is left, if anything, goes with the sandbox.
            let _ = group.remove();
        })
    }

    fn fork_container(
        &mut self,
        config: &ContainerConfig,
        group: &Group,
    ) -> Result<(Forked, Ends), Failure> {
        group.create().map_err(|e| create("make its cgroup")(&e))?;
        let linux = config.spec.linux().as_ref();
        if let Some(resources) = linux.and_then(|l| l.resources().as_ref()) {
            group
                .apply(resources)
                .map_err(|e| create("set its limits")(&e))?;
        }
        let filter = self.filter(&config.id)?;
        let (stdio, ends) = open_stdio(config).map_err(|e| create("open its streams")(&e))?;
        let into = group
            .clone_target()
            .map_err(|e| create("open its cgroup")(&e))?;
        let mut flags = CloneFlags::CLONE_NEWNS;
        if self.record.config.namespaces.pid == PidNamespace::Container {
            flags |= CloneFlags::CLONE_NEWPID;
        }
        let staging = self.files.rootfs();
        let shm = match uses_shm(&config.spec) {
            true => Some(
                self.pod
                    .shm(&staging)
                    .map_err(|e| create("share /dev/shm")(&e))?,
            ),
            false => None,
        };
        let forked = fork(flags, into.as_ref().map(AsFd::as_fd), |sync| {
            init::start(init::Container {
                spec: &config.spec,
                rootfs: &config.rootfs,
                staging: &staging,
                group,
                filter: filter.as_deref().map(|f| Filter::of(&config.spec, f)),
                stdio,
                shm,
                sync,
                alone: None,
            })
        });
        Ok((
            forked.map_err(|e| create("make its first process")(&e))?,
            ends,
        ))
    }

    fn open_log(&self, config: &ContainerConfig) -> Result<Option<Log>, Failure> {
        let open = |path| Log::open(path, self.record.logs);
        let log = config.log_path.as_deref().map(open).transpose();
        log.map_err(|e| create("open its log")(&e))
    }

    fn await_exec(&mut self, forked: Forked, asked_by: Token, what: What) -> Result<(), Failure> {
        let Forked { pid, pidfd, sync } = forked;
        let added = self.poller.add(sync.as_fd(), Source::Starting);
        let token = added.map_err(|e| {
            // Nobody will ever hear of it: it must not go on.
            let _ = sys::process::pidfd_send(pidfd.as_fd(), libc::SIGKILL);
            create("wait for it")(&e)
        })?;
        self.starting
            .push(Starting::new(token, pid, pidfd, sync, asked_by, what));
        Ok(())
    }

    pub(super) fn exec(
        &mut self,
        id: &ContainerId,
        exec: &Exec,
        fds: Vec<OwnedFd>,
        asked_by: Token,
    ) -> Result<(), Failure> {
        let container = self.containers.get(id).ok_or(Failure::NotFound)?;
        let init = container.pidfd.as_ref().ok_or(Failure::NotRunning)?;
        let config = self
            .files
            .container_config(id)
            .map_err(|e| create("read its config")(&e))?;
        let process = process_of(&config.spec, exec).ok_or(Failure::NotFound)?;
        let filter = self.filter(id)?;
        let stdio = if exec.tty {
            Stdio::Tty
        } else {
            exec_pipes(exec, fds).map_err(|e| create("its streams")(&e))?
        };
        let group = &container.group;
        let into = group
            .clone_target()
            .map_err(|e| create("open its cgroup")(&e))?;
        let fork_it = || {
            fork(
                CloneFlags::empty(),
                into.as_ref().map(AsFd::as_fd),
                |sync| {
                    init::join(init::Joining {
                        process: &process,
                        init: init.as_fd(),
                        group,
                        filter: filter.as_deref().map(|f| Filter::of(&config.spec, f)),
                        stdio,
                        sync,
                        alone: None,
                    })
                },
            )
        };
        let forked = self
            .pod
            .beside(init.as_fd(), fork_it)
            .and_then(|forked| forked);
        let forked = forked.map_err(|e| match e.raw_os_error() {
            Some(libc::ESRCH) => Failure::NotRunning,
            _ => create("make a process in the container")(&e),
        })?;
        self.await_exec(forked, asked_by, What::Exec)
    }

    /// The compiled seccomp filter; none where the container is unconfined.
    fn filter(&self, id: &ContainerId) -> Result<Option<Vec<u8>>, Failure> {
        match fs::read(self.files.container(id).join("seccomp.bpf")) {
            Ok(filter) => Ok(Some(filter)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(create("read its seccomp filter")(&e)),
        }
    }
}

/// Forks; the child runs `child` and never comes back.
fn fork(
    flags: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce(OwnedFd),
) -> io::Result<Forked> {
    let (sync, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    set_nonblocking(&sync)?;
    match sys::process::clone(flags, cgroup)? {
        Cloned::Child => {
            // A panic must end here: unwinding further would be a second monitor.
            let _ = catch_unwind(AssertUnwindSafe(|| child(theirs)));
            sys::process::exit_now(1)
        }
        Cloned::Parent { pid, pidfd } => Ok(Forked { pid, pidfd, sync }),
    }
}

fn container(config: &ContainerConfig, group: Group, log: Option<Log>, ends: Ends) -> Container {
    Container {
        started: Started {
            pid: 0,
            started_at: jiff::Timestamp::UNIX_EPOCH,
        },
        pidfd: None,
        exit: None,
        is_acknowledged: false,
        group,
        log,
        log_path: config.log_path.clone(),
        labels: config.labels.clone(),
        stdin: ends.stdin.map(|sink| StdinPipe::new(sink, config.stdin)),
        stdout: ends.stdout.map(Output::new).unwrap_or_default(),
        stderr: ends.stderr.map(Output::new).unwrap_or_default(),
        tty: None,
    }
}

fn uses_shm(spec: &Spec) -> bool {
    let is_shm = |m: &oci_spec::runtime::Mount| {
        m.typ().as_deref() == Some("tmpfs")
            && m.source()
                .as_deref()
                .is_some_and(|s| s.as_os_str() == "shm")
    };
    spec.mounts().iter().flatten().any(is_shm)
}

fn open_stdio(config: &ContainerConfig) -> io::Result<(Stdio, Ends)> {
    if config
        .spec
        .process()
        .as_ref()
        .and_then(Process::terminal)
        .unwrap_or(false)
    {
        return Ok((Stdio::Tty, Ends::default()));
    }
    let (stdin, sink) = match config.stdin {
        Stdin::Closed => (dev_null()?, None),
        Stdin::Open | Stdin::Once => sys::pipe().map(|(read, write)| (read, Some(write)))?,
    };
    let (out, stdout) = sys::pipe()?;
    let (err, stderr) = sys::pipe()?;
    [Some(&out), Some(&err), sink.as_ref()]
        .into_iter()
        .flatten()
        .try_for_each(set_nonblocking)?;
    let ends = Ends {
        stdin: sink,
        stdout: Some(out),
        stderr: Some(err),
    };
    Ok((
        Stdio::Pipes {
            stdin,
            stdout,
            stderr,
        },
        ends,
    ))
}

fn dev_null() -> io::Result<OwnedFd> {
    fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map(OwnedFd::from)
}

fn exec_pipes(exec: &Exec, fds: Vec<OwnedFd>) -> io::Result<Stdio> {
    let mut fds = fds.into_iter();
    let mut next = |is_wanted| match is_wanted {
        true => fds
            .next()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput)),
        false => dev_null(),
    };
    Ok(Stdio::Pipes {
        stdin: next(exec.stdin)?,
        stdout: next(exec.stdout)?,
        stderr: next(exec.stderr)?,
    })
}

/// The container's own process, changed as asked.
fn process_of(spec: &Spec, exec: &Exec) -> Option<Process> {
    let mut process = spec.process().clone()?;
    process
        .set_args(Some(exec.args.clone()))
        .set_terminal(Some(exec.tty));
    if let Some(env) = &exec.env {
        process.set_env(Some(env.clone()));
    }
    if let Some(cwd) = exec.cwd() {
        process.set_cwd(cwd.to_owned());
    }
    if let Some(user) = &exec.user {
        let mut other = User::default();
        other.set_uid(user.uid).set_gid(user.gid);
        other.set_additional_gids(Some(user.additional_gids.clone()));
        process.set_user(other);
    }
    Some(process)
}
