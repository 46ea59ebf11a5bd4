//! The pod's monitor: one small process that outlives the agent.
//!
//! It holds the pod's namespaces by being in them, starts its containers as its
//! own children, writes their logs, and keeps their ends until they are removed.
//! One thread, one epoll loop, nothing of the agent's: the binary calls [`main`]
//! before it starts anything else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use sys::process::Cloned;

use crate::cgroup::Group;
use crate::sandbox::{Files, Record};
use crate::{ContainerId, Error};

mod attach;
mod children;
mod connection;
mod container;
mod log;
mod output;
mod pod;
mod poller;
mod requests;
mod start;

use children::Starting;
use connection::Connection;
use container::Container;
use pod::Pod;
pub(crate) use pod::Shm;
use poller::{Poller, Source, Token};

/// Runs a monitor until its pod is destroyed. `args` are those after `skiff monitor`.
///
/// To be called before the program makes a thread: containers are forked from here.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Some(dir) = args.into_iter().next() else {
        eprintln!("a monitor is started by skiff, with the directory of its pod");
        return ExitCode::from(2);
    };
    let mut ready = match take_stdout() {
        Ok(ready) => ready,
        Err(e) => {
            eprintln!("standard output: {e}");
            return ExitCode::FAILURE;
        }
    };
    match Monitor::open(dir.into()) {
        Ok(monitor) => {
            // An agent that died meanwhile finds the pod by itself.
            let _ = write!(ready, "{READY} {}", std::process::id());
            drop(ready);
            monitor.run()
        }
        Err(e) => {
            let _ = write!(ready, "{e}");
            ExitCode::FAILURE
        }
    }
}

/// What a monitor says, with its process id, once the pod is there.
pub(crate) const READY: &str = "ready";

/// Standard output told the agent how the start went; from here on it leads nowhere.
fn take_stdout() -> io::Result<std::fs::File> {
    let ready = io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(std::fs::File::options().write(true).open("/dev/null")?)?;
    Ok(ready.into())
}

/// The state of a pod.
struct Monitor {
    files: Files,
    record: Record,
    pod: Pod,
    poller: Poller,
    children: SignalFd,
    listener: UnixListener,
    /// None while there are as many connections as there may be.
    listening: Option<Token>,
    connections: BTreeMap<Token, Connection>,
    containers: BTreeMap<ContainerId, Container>,
    starting: Vec<Starting>,
    execs: Vec<children::ExecChild>,
    subscribers: Vec<Token>,
    /// What is read from containers, before it is sorted out. One for all, made once.
    scratch: Vec<u8>,
    /// The last container's end is this monitor's too.
    does_machine_stop: bool,
    is_done: bool,
}

/// How much is read from a container at once.
const SCRATCH: usize = 32 << 10;

impl Monitor {
    fn open(dir: PathBuf) -> crate::Result<Self> {
        let files = Files::at(dir);
        let record = files.record()?;
        let node = |what: &'static str| {
            move |e: io::Error| Error::Node {
                what: format!("{what}: {e}"),
            }
        };
        enter_group(&record.groups.monitors())?;
        let listener = take_listener().map_err(node("listen for the agent"))?;
        let children = detach().map_err(node("leave the agent's session"))?;
        if let Some(resources) = &record.config.resources {
            let group = record.groups.pod(&record.config.cgroup_parent);
            group.create()?;
            group.apply(resources)?;
        }
        let pod = Pod::open(&record)?;
        let mut poller = Poller::open().map_err(node("make an epoll"))?;
        let listening = poller
            .add(listener.as_fd(), Source::Listener)
            .map_err(node("poll the socket"))?;
        poller
            .add(children.as_fd(), Source::Children)
            .map_err(node("poll for children"))?;
        Ok(Self {
            files,
            record,
            pod,
            poller,
            children,
            listener,
            listening: Some(listening),
            connections: BTreeMap::new(),
            containers: BTreeMap::new(),
            starting: Vec::new(),
            execs: Vec::new(),
            subscribers: Vec::new(),
            scratch: vec![0; SCRATCH],
            does_machine_stop: false,
            is_done: false,
        })
    }

    fn run(mut self) -> ExitCode {
        // What starting up took is not needed again.
        sys::process::trim_heap();
        while !self.is_done {
            let ready = match self.poller.wait() {
                Ok(ready) => ready,
                Err(e) => {
                    eprintln!("wait for events: {e}");
                    return ExitCode::FAILURE;
                }
            };
            for (token, source) in ready {
                self.handle(token, source);
            }
        }
        ExitCode::SUCCESS
    }

    fn handle(&mut self, token: Token, source: Source) {
        match source {
            Source::Listener => self.accept(),
            Source::Children => self.reap(),
            Source::Connection => self.converse(token),
            Source::Starting => self.finish_starting(token),
            Source::Output(id, stream) => self.pump(&id, stream),
            Source::Reader(id, stream) => self.feed_reader(&id, stream, token),
            Source::Input(id) => self.feed_stdin(&id, token),
            Source::Stdin(id) => self.drain_stdin(&id),
        }
    }
}

/// Leaves skiff's own group, so that stopping skiff's service spares the pod.
///
/// In the v2 hierarchy by going on as a child born into the group: moving there
/// waits for an RCU grace period, which costs more than all else a start takes.
fn enter_group(group: &Group) -> crate::Result<()> {
    if !group.is_v2() {
        // Nearly always it is there already.
        group
            .join()
            .or_else(|_| group.create().and_then(|()| group.join()))?;
    }
    let Some(target) = group.unified()? else {
        return Ok(());
    };
    match sys::process::clone(CloneFlags::empty(), Some(target.as_fd())) {
        Ok(Cloned::Child) => Ok(()),
        Ok(Cloned::Parent { .. }) => sys::process::exit_now(0),
        Err(e) => Err(Error::Node {
            what: format!("enter the monitors' cgroup: {e}"),
        }),
    }
}

/// The agent hands its listening socket over as standard input.
fn take_listener() -> io::Result<UnixListener> {
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    // Again, by us: SO_PEERCRED then names this process to whoever connects (unix(7)).
    nix::sys::socket::listen(&socket, nix::sys::socket::Backlog::new(64)?)?;
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Leaves the agent's session and hides from containers; gives back the news of children, and
/// of the machine's stop.
fn detach() -> io::Result<SignalFd> {
    nix::unistd::setsid()?;
    nix::unistd::chdir("/")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    nix::sys::prctl::set_dumpable(false)?;
    nix::sys::prctl::set_name(c"skiff-monitor")?;
    // Under memory pressure a pod should lose anything before its monitor; lowering may be refused.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-999");
    // Nothing but SIGKILL ends a monitor from outside, while its machine runs.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.add(Signal::SIGTERM);
    Ok(SignalFd::with_flags(
        &children,
        SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK,
    )?)
}
