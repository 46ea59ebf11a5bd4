//! The container's side: what the new process does between clone and exec.
//!
//! It runs in the monitor's child, alone in its new namespaces, with the host's
//! file systems still in sight until the pivot. Nothing of the image is trusted:
//! every path in it is resolved beneath its root and mounted on by descriptor.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use oci_spec::runtime::{Process, Spec};

use crate::cgroup::Group;
use crate::config::Rootfs;
use crate::monitor::Shm;
use crate::protocol::Failure;

pub(crate) mod alone;
mod copy_up;
pub(crate) mod create;
mod devices;
pub(crate) mod hooks;
mod identity;
mod idmap;
mod labels;
mod masks;
mod mounts;
mod namespaces;
mod options;
pub(crate) mod pause;
mod procfs;
mod program;
mod rootfs;
mod scheduling;
mod sources;
mod stdio;
pub(crate) mod sysctl;

use alone::Alone;
pub(crate) use alone::Options;
use identity::Confinement;
pub(crate) use identity::Filter;
pub(crate) use pause::Pause;
use program::Program;
pub(crate) use program::READY;
use sources::{Host, Sources};
pub(crate) use stdio::{Stdio, TTY};

/// Why the container could not be made, and at which stage.
#[derive(Debug)]
pub(crate) enum Fault {
    Create(String),
    Exec(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Create(message) | Self::Exec(message)) = self;
        f.write_str(message)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Create(message) => Self::Create(message),
            Fault::Exec(message) => Self::Exec(message),
        }
    }
}

/// Names what was tried when an error ends the attempt.
trait OrFault<T> {
    fn or_fault(self, what: impl FnOnce() -> String) -> Result<T, Fault>;
}

impl<T, E: std::fmt::Display> OrFault<T> for Result<T, E> {
    fn or_fault(self, what: impl FnOnce() -> String) -> Result<T, Fault> {
        self.map_err(|e| Fault::Create(format!("{}: {e}", what())))
    }
}

/// All that the first process of a container needs.
pub(crate) struct Container<'a> {
    pub spec: &'a Spec,
    pub rootfs: &'a Rootfs,
    /// An empty directory of the host to mount the root on, in the new mount namespace only.
    pub staging: &'a Path,
    pub group: &'a Group,
    pub filter: Option<Filter<'a>>,
    pub stdio: Stdio,
    /// The pod's `/dev/shm`.
    pub shm: Option<&'a Shm>,
    /// Closed by a successful exec; else told what failed. Also takes a tty's master.
    pub sync: OwnedFd,
    /// Of one that belongs to no pod: its namespaces are not its parent's.
    pub alone: Option<Alone<'a>>,
}

/// All that one more process of a container needs.
pub(crate) struct Joining<'a> {
    pub process: &'a Process,
    pub init: BorrowedFd<'a>,
    pub group: &'a Group,
    pub filter: Option<Filter<'a>>,
    pub stdio: Stdio,
    pub sync: OwnedFd,
    /// In a container that belongs to no pod.
    pub alone: Option<JoiningAlone<'a>>,
}

/// What a process that joins a container needs beside, which belongs to no pod.
#[derive(Clone, Copy)]
pub(crate) struct JoiningAlone<'a> {
    pub spec: &'a Spec,
    /// All that its parent is not in.
    pub namespaces: CloneFlags,
    pub options: Options,
}

/// Becomes the container's first process, or says why not.
pub(crate) fn start(mut container: Container<'_>) -> ! {
    let Err(fault) = enter(&mut container);
    let pause = container.alone.as_ref().and_then(|a| a.pause.as_ref());
    give_up(&container.sync, pause, fault)
}

/// Becomes one more process of a running container, or says why not.
pub(crate) fn join(joining: Joining<'_>) -> ! {
    let Err(fault) = enter_running(&joining);
    give_up(&joining.sync, None, fault)
}

enum Never {}

fn enter(container: &mut Container<'_>) -> Result<Never, Fault> {
    let spec = container.spec;
    let process = spec.process().as_ref();
    let process = process.ok_or_else(|| Fault::Create("the spec has no process".into()))?;
    // The order is the design: the group first, so that all that follows is
    // charged to it; host paths are opened before the mount tree is cut off;
    // privileges go last, because every step above needs them.
    let leaver = Leaver::of(container);
    leaver.become_child(container.group, process)?;
    container.enter_namespaces()?;
    let sources = container.sources()?;
    sys::mount::isolate().or_fault(|| "cut the mount namespace off the host's".into())?;
    let tty = build(container, process, sources)?;
    container.stdio.install(tty, process)?;
    if container.alone.is_some() {
        scheduling::apply_to_all(spec)?;
    }
    // A working directory by way of a descriptor must find none (CVE-2024-21626).
    close_all_but(container.preserved(), &container.descriptors())?;
    let confinement = Confinement {
        process,
        filter: container.filter,
        sync: &container.sync,
        dies_with_parent: container.alone.is_none(),
    };
    confinement.confine()?;
    let program = Program::find(process)?;
    program::tell_ready(&container.sync)?;
    if let Some(alone) = &mut container.alone {
        alone.await_start(spec)?;
    }
    program.execute()
}

impl Container<'_> {
    fn enter_namespaces(&mut self) -> Result<(), Fault> {
        match &mut self.alone {
            Some(alone) => alone.enter(&self.sync, self.spec),
            // The clone put us into the group: from here on that is what `/` means.
            None if self.group.is_v2() => {
                unshare(CloneFlags::CLONE_NEWCGROUP).or_fault(|| "make a cgroup namespace".into())
            }
            None => Ok(()),
        }
    }

    fn sources(&mut self) -> Result<Sources, Fault> {
        match self.alone.as_mut().and_then(|a| a.sources.take()) {
            Some(sources) => Ok(sources),
            None => Sources::open(&Host {
                spec: self.spec,
                rootfs: self.rootfs,
                base: Path::new("/"),
                group: self.group,
                shm: self.shm,
                namespaces: None,
            }),
        }
    }

    /// How many descriptors from 3 on are the caller's gift to the program.
    fn preserved(&self) -> u32 {
        self.alone.as_ref().map_or(0, |a| a.options.preserve_fds)
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut keep = vec![self.sync.as_fd()];
        keep.extend(self.alone.iter().flat_map(Alone::descriptors));
        keep
    }
}

/// Mounts the container's file systems and changes into them; gives its terminal back.
fn build(
    container: &mut Container<'_>,
    process: &Process,
    sources: Sources,
) -> Result<Option<OwnedFd>, Fault> {
    let spec = container.spec;
    let root = rootfs::mount(container.rootfs, sources.root, container.staging)?;
    if let Some(alone) = &container.alone {
        alone.namespaces.become_root()?;
    }
    let propagating = mounts::mount_all(root.as_fd(), sources.mounts)?;
    let filling = match container.alone {
        Some(_) => devices::Filling::UnlessBound,
        None => devices::Filling::Always,
    };
    let null = devices::make_all(root.as_fd(), spec, &sources.devices, filling)?;
    let tty = container
        .stdio
        .open_tty(root.as_fd(), process, &container.sync)?;
    masks::apply(root.as_fd(), spec, null.as_ref())?;
    rootfs::make_cwd(root.as_fd(), process.cwd())?;
    let mut no_pivot = false;
    if let Some(alone) = &mut container.alone {
        alone.run_create_hooks(&container.sync, spec)?;
        no_pivot = alone.options.no_pivot;
    }
    rootfs::finish(&root, spec, no_pivot)?;
    mounts::restore_propagation(&propagating, spec)?;
    if let Some(alone) = &container.alone {
        sysctl::apply(spec, alone.namespaces)?;
    }
    Ok(tty)
}

fn enter_running(joining: &Joining<'_>) -> Result<Never, Fault> {
    let preserved = joining.alone.map_or(0, |a| a.options.preserve_fds);
    // The container may look at us as soon as we are among its processes.
    close_all_but(preserved, &joining.descriptors())?;
    let leaver = Leaver {
        is_alone: joining.alone.is_some(),
        keeps_keyring: joining.alone.is_some_and(|a| a.options.keeps_keyring),
    };
    leaver.become_child(joining.group, joining.process)?;
    let cpus = joining.process.exec_cpu_affinity().as_ref();
    if let Some(cpus) = cpus.and_then(|a| a.cpu_affinity_final().as_deref()) {
        scheduling::run_on(cpus)?;
    }
    let namespaces = match joining.alone {
        Some(alone) => alone.namespaces,
        None if joining.group.is_v2() => CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP,
        None => CloneFlags::CLONE_NEWNS,
    };
    nix::sched::setns(joining.init, namespaces)
        .or_fault(|| "join the container's namespaces".into())?;
    if let Some(alone) = joining.alone {
        namespaces::become_root(alone.namespaces)?;
        scheduling::apply_to_all(alone.spec)?;
    }
    let tty = joining
        .stdio
        .open_tty_inside(joining.process, &joining.sync)?;
    joining.stdio.install(tty, joining.process)?;
    close_all_but(preserved, &[joining.sync.as_fd()])?;
    let confinement = Confinement {
        process: joining.process,
        filter: joining.filter,
        sync: &joining.sync,
        dies_with_parent: joining.alone.is_none(),
    };
    confinement.confine()?;
    let program = Program::find(joining.process)?;
    program::tell_ready(&joining.sync)?;
    program.execute()
}

impl Joining<'_> {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut keep = vec![self.init, self.sync.as_fd()];
        keep.extend(self.stdio.descriptors());
        keep
    }
}

fn close_all_but(preserved: u32, keep: &[BorrowedFd<'_>]) -> Result<(), Fault> {
    sys::process::close_all_but(preserved, keep).or_fault(|| "close descriptors".into())
}

/// How a process parts from the one that made it.
#[derive(Clone, Copy)]
struct Leaver {
    is_alone: bool,
    keeps_keyring: bool,
}

impl Leaver {
    fn of(container: &Container<'_>) -> Self {
        let alone = container.alone.as_ref();
        Self {
            is_alone: alone.is_some(),
            keeps_keyring: alone.is_some_and(|a| a.options.keeps_keyring),
        }
    }

    /// Leaves the parent: its group, its session, its signals, its keys.
    fn become_child(self, group: &Group, process: &Process) -> Result<(), Fault> {
        umask(Mode::from_bits_truncate(0o022));
        if !group.is_v2() {
            let joined = group.join();
            joined.or_fault(|| "join the container's cgroup".into())?;
        }
        nix::unistd::setsid().or_fault(|| "start a session".into())?;
        sys::process::reset_signals().or_fault(|| "reset signals".into())?;
        if !self.keeps_keyring {
            leave_keyring()?;
        }
        self.set_oom_score(process.oom_score_adj())?;
        prctl::set_dumpable(false).or_fault(|| "hide from the container".into())
    }

    fn set_oom_score(self, score: Option<i32>) -> Result<(), Fault> {
        let score = match score {
            Some(score) => score,
            None if self.is_alone => return Ok(()),
            None => 0,
        };
        match std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
            // Lowering it takes CAP_SYS_RESOURCE, which a nested root may lack: a pod is run regardless.
            Err(e) if self.is_alone => {
                let what = || format!("set oom_score_adj to {score}");
                Err(e).or_fault(what)
            }
            _ => Ok(()),
        }
    }
}

/// The keys of whoever called us are none of the container's.
fn leave_keyring() -> Result<(), Fault> {
    match sys::process::new_session_keyring() {
        // A kernel without key retention, or one that lets nobody around us at it: then we have no keys either.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(()),
        made => made.map(drop).or_fault(|| "make a session keyring".into()),
    }
}

fn die_with_parent() -> Result<(), Fault> {
    prctl::set_pdeathsig(Signal::SIGKILL).or_fault(|| "tie the container to its monitor".into())
}

fn give_up(sync: &OwnedFd, pause: Option<&Pause>, fault: Fault) -> ! {
    let failure = Failure::from(fault);
    if let Ok(mut message) = serde_json::to_vec(&failure) {
        message.truncate(16 << 10);
        // By send(2), which no signal answers; there is nobody else who could be told.
        let _ = sys::socket::send(sync.as_fd(), &message, &[]);
        if let Some(pause) = pause {
            pause.failed(&message);
        }
    }
    sys::process::exit_now(1)
}

/// Opens a host path without following it anywhere new; for descriptors that only name.
fn open_path(path: &Path) -> std::io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_CLOEXEC);
    options.open(path).map(OwnedFd::from)
}
