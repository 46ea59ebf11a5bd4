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

mod devices;
mod identity;
mod masks;
mod mounts;
mod options;
mod program;
mod rootfs;
mod stdio;

pub(crate) use program::READY;
pub(crate) use stdio::{Stdio, TTY};

/// Why the container could not be made, and at which stage.
#[derive(Debug)]
pub(crate) enum Fault {
    Create(String),
    Exec(String),
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
    pub filter: Option<&'a [u8]>,
    pub stdio: Stdio,
    /// The pod's `/dev/shm`.
    pub shm: Option<&'a Shm>,
    /// Closed by a successful exec; else told what failed. Also takes a tty's master.
    pub sync: OwnedFd,
}

/// All that one more process of a container needs.
pub(crate) struct Joining<'a> {
    pub process: &'a Process,
    pub init: BorrowedFd<'a>,
    pub group: &'a Group,
    pub filter: Option<&'a [u8]>,
    pub stdio: Stdio,
    pub sync: OwnedFd,
}

/// Becomes the container's first process, or says why not.
pub(crate) fn start(container: Container<'_>) -> ! {
    let Err(fault) = enter(&container);
    give_up(&container.sync, fault)
}

/// Becomes one more process of a running container, or says why not.
pub(crate) fn join(joining: Joining<'_>) -> ! {
    let Err(fault) = enter_running(&joining);
    give_up(&joining.sync, fault)
}

enum Never {}

fn enter(container: &Container<'_>) -> Result<Never, Fault> {
    let process = container
        .spec
        .process()
        .as_ref()
        .ok_or_else(|| Fault::Create("the spec has no process".into()))?;
    // The order is the design: the group first, so that all that follows is
    // charged to it; host paths are opened before the mount tree is cut off;
    // privileges go last, because every step above needs them.
    become_child(container.group, process)?;
    if container.group.is_v2() {
        // The clone put us into the group: from here on that is what `/` means.
        unshare(CloneFlags::CLONE_NEWCGROUP).or_fault(|| "make a cgroup namespace".into())?;
    }
    let sources = mounts::open_sources(container.spec, container.group, container.shm)?;
    sys::mount::isolate().or_fault(|| "cut the mount namespace off the host's".into())?;
    let tty = build(container, process, sources)?;
    container.stdio.install(tty, process.user().uid())?;
    // A working directory by way of a descriptor must find none (CVE-2024-21626).
    sys::process::close_all_but(&[container.sync.as_fd()])
        .or_fault(|| "close descriptors".into())?;
    identity::confine(process, container.filter)?;
    program::execute(process, &container.sync)
}

/// Mounts the container's file systems and changes into them; gives its terminal back.
fn build(
    container: &Container<'_>,
    process: &Process,
    sources: Vec<mounts::Prepared>,
) -> Result<Option<OwnedFd>, Fault> {
    let root = rootfs::mount(container.rootfs, container.staging)?;
    mounts::mount_all(root.as_fd(), sources)?;
    let null = devices::make_all(root.as_fd(), container.spec)?;
    let tty = container.stdio.open_tty(root.as_fd(), &container.sync)?;
    masks::apply(root.as_fd(), container.spec, null.as_fd())?;
    rootfs::make_cwd(root.as_fd(), process.cwd())?;
    rootfs::finish(&root, container.spec)?;
    Ok(tty)
}

fn enter_running(joining: &Joining<'_>) -> Result<Never, Fault> {
    // The container may look at us as soon as we are among its processes.
    sys::process::close_all_but(&joining.descriptors()).or_fault(|| "close descriptors".into())?;
    become_child(joining.group, joining.process)?;
    let mut namespaces = CloneFlags::CLONE_NEWNS;
    if joining.group.is_v2() {
        namespaces |= CloneFlags::CLONE_NEWCGROUP;
    }
    nix::sched::setns(joining.init, namespaces)
        .or_fault(|| "join the container's namespaces".into())?;
    let tty = joining.stdio.open_tty_inside(&joining.sync)?;
    joining.stdio.install(tty, joining.process.user().uid())?;
    sys::process::close_all_but(&[joining.sync.as_fd()]).or_fault(|| "close descriptors".into())?;
    identity::confine(joining.process, joining.filter)?;
    program::execute(joining.process, &joining.sync)
}

impl Joining<'_> {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut keep = vec![self.init, self.sync.as_fd()];
        keep.extend(self.stdio.descriptors());
        keep
    }
}

/// Leaves the monitor: its group, its session, its signals, its keys.
fn become_child(group: &Group, process: &Process) -> Result<(), Fault> {
    umask(Mode::from_bits_truncate(0o022));
    if !group.is_v2() {
        group
            .join()
            .or_fault(|| "join the container's cgroup".into())?;
    }
    nix::unistd::setsid().or_fault(|| "start a session".into())?;
    sys::process::reset_signals().or_fault(|| "reset signals".into())?;
    // Not there where the kernel has no key retention, or no quota is left; the keys stay ours then.
    let _ = sys::process::new_session_keyring();
    set_oom_score(process.oom_score_adj().unwrap_or(0));
    prctl::set_dumpable(false).or_fault(|| "hide from the container".into())
}

/// Lowering it takes CAP_SYS_RESOURCE, which a nested root may lack; raising never does.
fn set_oom_score(score: i32) {
    let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
}

fn die_with_monitor() -> Result<(), Fault> {
    prctl::set_pdeathsig(Signal::SIGKILL).or_fault(|| "tie the container to its monitor".into())
}

fn give_up(sync: &OwnedFd, fault: Fault) -> ! {
    let failure = Failure::from(fault);
    if let Ok(mut message) = serde_json::to_vec(&failure) {
        message.truncate(16 << 10);
        // Nobody else can be told.
        let _ = nix::unistd::write(sync, &message);
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
