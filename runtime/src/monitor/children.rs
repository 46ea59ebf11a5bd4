//! The monitor's children: from fork to exec, and at their end.

use std::os::fd::{AsFd, OwnedFd};

use jiff::Timestamp;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Monitor;
use super::attach::{StdinPipe, set_nonblocking};
use super::container::Container;
use super::output::Output;
use super::poller::{Stream, Token};
use crate::config::PidNamespace;
use crate::init;
use crate::protocol::{Failure, Reply};
use crate::{ContainerId, Exit, Started, Stdin};

/// A process on its way to its program.
pub struct Starting {
    token: Token,
    pid: Pid,
    pidfd: OwnedFd,
    /// Its words: a terminal's master, "ready", or what went wrong; its end is the exec.
    sync: OwnedFd,
    asked_by: Token,
    what: What,
    tty: Option<OwnedFd>,
    is_ready: bool,
    failure: Option<Failure>,
}

/// What it will be.
pub enum What {
    Container {
        id: ContainerId,
        container: Box<Container>,
        stdin: Stdin,
    },
    Exec,
}

/// A process that runs in a container besides its first one.
pub struct ExecChild {
    pid: Pid,
    pidfd: OwnedFd,
    /// Who is told of its end, and whose leaving ends it.
    asked_by: Token,
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
struct End {
    code: i32,
    signal: Option<i32>,
}

impl Starting {
    pub fn new(
        token: Token,
        pid: Pid,
        pidfd: OwnedFd,
        sync: OwnedFd,
        asked_by: Token,
        what: What,
    ) -> Self {
        Self {
            token,
            pid,
            pidfd,
            sync,
            asked_by,
            what,
            tty: None,
            is_ready: false,
            failure: None,
        }
    }

    pub fn kill(&self) {
        // It may have ended by itself.
        let _ = sys::process::pidfd_send(self.pidfd.as_fd(), libc::SIGKILL);
    }

    /// Reads what it has said so far; says whether that was all.
    fn listen(&mut self) -> bool {
        let mut words = [0; 16 << 10];
        loop {
            match sys::socket::receive(self.sync.as_fd(), &mut words, 1) {
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return false,
                Ok((0, _)) | Err(_) => return true,
                Ok((n, mut fds)) => match &words[..n] {
                    init::TTY => self.tty = fds.pop(),
                    init::READY => self.is_ready = true,
                    failure => self.failure = serde_json::from_slice(failure).ok(),
                },
            }
        }
    }
}

impl Monitor {
    /// News of a process that is starting.
    pub(super) fn finish_starting(&mut self, token: Token) {
        let Some(index) = self.starting.iter().position(|s| s.token == token) else {
            return;
        };
        if !self.starting[index].listen() {
            return;
        }
        let starting = self.starting.swap_remove(index);
        self.poller.remove(starting.sync.as_fd(), token);
        if starting.is_ready && starting.failure.is_none() {
            self.started(starting);
        } else {
            self.did_not_start(starting);
        }
    }

    fn started(&mut self, starting: Starting) {
        let now = Timestamp::now();
        let pid = starting.pid.as_raw().unsigned_abs();
        match starting.what {
            What::Container {
                id,
                mut container,
                stdin,
            } => {
                container.started = Started {
                    pid,
                    started_at: now,
                };
                container.pidfd = Some(starting.pidfd);
                if let Some(tty) = starting.tty {
                    take_tty(&mut container, tty, stdin);
                }
                container
                    .stdout
                    .watch(&mut self.poller, &id, Stream::Stdout);
                container
                    .stderr
                    .watch(&mut self.poller, &id, Stream::Stderr);
                let reply = Reply::Started(container.started);
                self.containers.insert(id.clone(), *container);
                self.save(&id);
                self.reply(starting.asked_by, &reply, None);
            }
            What::Exec => {
                let child = ExecChild {
                    pid: starting.pid,
                    pidfd: starting.pidfd,
                    asked_by: starting.asked_by,
                };
                self.execs.push(child);
                self.reply(
                    starting.asked_by,
                    &Reply::ExecStarted { pid },
                    starting.tty.as_ref(),
                );
                if !self.connections.contains_key(&starting.asked_by) {
                    self.kill_exec_of(starting.asked_by);
                }
            }
        }
    }

    fn did_not_start(&mut self, mut starting: Starting) {
        // It is ending by itself, or has; the wait is for its group to be free.
        starting.kill();
        let _ = waitpid(starting.pid, None);
        let failure = starting.failure.take();
        let is_oom = match &starting.what {
            What::Container { container, .. } => container.group.oom_kills() > 0,
            What::Exec => false,
        };
        let failure = failure.unwrap_or_else(|| {
            let why = if is_oom {
                "container init was OOM-killed (memory limit too low?)"
            } else {
                "its process ended while it was being set up"
            };
            Failure::Create(why.into())
        });
        if let What::Container { container, .. } = &starting.what {
            // What is left, if anything, goes with the sandbox.
            let _ = container.group.remove();
        }
        self.reply(starting.asked_by, &Reply::Failed(failure), None);
    }

    /// Takes note of every child that has ended.
    pub(super) fn reap(&mut self) {
        while let Ok(Some(news)) = self.children.read_signal() {
            // Whatever stops a machine is its first process, and would wait a long time for one
            // that does not end (systemd: 90 s). Nobody else is meant to end a monitor.
            self.does_machine_stop |=
                news.ssi_signo == libc::SIGTERM.cast_unsigned() && news.ssi_pid == 1;
        }
        self.reap_children();
        let runs = self.containers.values().any(|c| c.exit.is_none());
        if self.does_machine_stop && !runs && self.starting.is_empty() {
            self.is_done = true;
        }
    }

    fn reap_children(&mut self) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid, End { code, signal: None }),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.ended(pid, End::by(signal)),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn ended(&mut self, pid: Pid, end: End) {
        // Its start may be news that has not been read yet.
        if let Some(token) = self.starting.iter().find(|s| s.pid == pid).map(|s| s.token) {
            self.finish_starting(token);
        }
        let number = pid.as_raw().unsigned_abs();
        let is_it = |c: &Container| c.exit.is_none() && c.started.pid == number;
        let id = self
            .containers
            .iter()
            .find(|(_, c)| is_it(c))
            .map(|(id, _)| id.clone());
        if let Some(id) = id {
            self.container_ended(&id, end);
        } else if let Some(index) = self.execs.iter().position(|e| e.pid == pid) {
            let exec = self.execs.swap_remove(index);
            let reply = Reply::ExecExited {
                code: end.code,
                at: Timestamp::now(),
            };
            self.reply(exec.asked_by, &reply, None);
        }
    }

    fn container_ended(&mut self, id: &ContainerId, end: End) {
        let now = Timestamp::now();
        let Self {
            containers,
            poller,
            scratch,
            record,
            ..
        } = self;
        let Some(container) = containers.get_mut(id) else {
            return;
        };
        let namespaces = record.config.namespaces;
        container.pidfd = None;
        // In a pid namespace of its own the kernel has done that.
        if namespaces.pid != PidNamespace::Container
            && let Err(e) = container.group.kill_all()
        {
            eprintln!("container {id}: kill what its first process left: {e}");
        }
        container.drain(id, poller, scratch);
        if let Some(stdin) = container.stdin.take() {
            stdin.close(poller);
        }
        container.tty = None;
        container.exit = Some(Exit {
            code: end.code,
            signal: end.signal,
            oom_killed: container.group.oom_kills() > 0,
            started_at: container.started.started_at,
            finished_at: now,
        });
        if !container.stdout.is_open() && !container.stderr.is_open() {
            container.log = None;
        }
        // What is busy still goes with the container, or with the sandbox.
        let _ = container.group.remove();
        let event = container.event(id);
        self.save(id);
        event
            .into_iter()
            .for_each(|event| self.tell_subscribers(event));
    }

    /// Ends the process that was run for a connection.
    pub(super) fn kill_exec_of(&self, connection: Token) {
        let execs = self
            .execs
            .iter()
            .filter(|e| e.asked_by == connection)
            .map(|e| &e.pidfd);
        let starting = self.starting.iter().filter(|s| s.asked_by == connection);
        let starting = starting
            .filter(|s| matches!(s.what, What::Exec))
            .map(|s| &s.pidfd);
        for pidfd in execs.chain(starting) {
            // It may have ended by itself.
            let _ = sys::process::pidfd_send(pidfd.as_fd(), libc::SIGKILL);
        }
    }
}

impl End {
    fn by(signal: Signal) -> Self {
        Self {
            code: 128 + signal as i32,
            signal: Some(signal as i32),
        }
    }
}

/// A terminal is both ends at once: read for output, written for input.
fn take_tty(container: &mut Container, tty: OwnedFd, stdin: Stdin) {
    if let Err(e) = set_nonblocking(&tty) {
        eprintln!("a terminal: {e}");
    }
    container.stdout = tty.try_clone().map(Output::new).unwrap_or_default();
    if stdin != Stdin::Closed {
        container.stdin = tty.try_clone().ok().map(|sink| StdinPipe::new(sink, stdin));
    }
    container.tty = Some(tty);
}
