//! The runtime's side: making the first process of a container by its spec alone,
//! or one more process of it, and hearing how far it is.
//!
//! ```text
//! create() ── clone ──▶ namespaces, mounts
//!   next() = Terminal   the pty's master, where process.terminal asks for one
//!   next() = Mounted    run the prestart and createRuntime hooks, then go_on()
//!                       createContainer hooks, pivot, privileges
//!   next() = Notify     the listener of a seccomp filter, then go_on()
//!   next() = Created    it waits in `pause` for `pause::start`; or, without one, executes
//!                       startContainer hooks, exec
//!   next() = Gone       the socket's end: after Created and without a pause, that is the exec
//! ```
//!
//! A failure ends it at any place: `next() = Failed`. An [`Init`] that is dropped
//! is killed, unless it is kept.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxDevice, LinuxNamespaceType as Kind, Mount, Process, Spec, State};
use sys::process::Cloned;

use super::alone::{Alone, GO, MOUNTED, Options};
use super::namespaces::{Namespaces, flag};
use super::sources::{Host, Sources};
use super::{Container, Fault, Filter, Joining, JoiningAlone, OrFault, Pause, READY, Stdio, TTY};
use crate::cgroup::Group;
use crate::config::Rootfs;
use crate::protocol::Failure;

/// Said with the number of the descriptor that a seccomp filter listens on.
pub(crate) const NOTIFY: &[u8] = b"notify ";

/// A container to be made of its spec alone.
pub(crate) struct Creation<'a> {
    pub spec: &'a Spec,
    /// `root.path` and the sources of mounts are relative to it.
    pub bundle: &'a Path,
    /// An empty directory of the host to mount the root on, in the container's mount namespace only.
    pub staging: &'a Path,
    /// Made and limited already; the process joins it.
    pub group: &'a Group,
    /// The spec's seccomp profile, compiled.
    pub filter: Option<&'a [u8]>,
    pub stdio: Stdio,
    /// What the hooks are told.
    pub state: State,
    /// Without one the program is executed when all is ready.
    pub pause: Option<Pause>,
    pub options: Options,
}

/// One more process of a container that runs.
pub(crate) struct Addition<'a> {
    /// The container's.
    pub spec: &'a Spec,
    pub process: &'a Process,
    /// A pidfd of the container's first process, and its number.
    pub init: BorrowedFd<'a>,
    pub init_pid: Pid,
    pub group: &'a Group,
    /// The spec's seccomp profile, compiled.
    pub filter: Option<&'a [u8]>,
    pub stdio: Stdio,
    pub options: Options,
}

/// A process on its way to its program. It is killed with this value, unless it is kept.
#[derive(Debug)]
pub(crate) struct Init {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    sync: OwnedFd,
    is_kept: Cell<bool>,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Word {
    Terminal(OwnedFd),
    Mounted,
    Notify(OwnedFd),
    Created,
    Failed(Failure),
    Gone,
}

/// Makes the first process of a container. The caller must have one thread.
///
/// # Errors
/// [`Failure::Create`]; nothing was made then.
pub(crate) fn create(creation: Creation<'_>) -> Result<Init, Failure> {
    Ok(make(creation)?)
}

fn make(creation: Creation<'_>) -> Result<Init, Fault> {
    let spec = creation.spec;
    check_supported(spec)?;
    let namespaces = Namespaces::of(spec)?;
    let root = spec
        .root()
        .as_ref()
        .ok_or_else(|| Fault::Create("the spec has no root".into()))?;
    let rootfs = Rootfs::Dir(creation.bundle.join(root.path()));
    let sources = Sources::open(&Host {
        spec,
        rootfs: &rootfs,
        base: creation.bundle,
        group: creation.group,
        shm: None,
        namespaces: Some(&namespaces),
    })?;
    delegate(&creation, &namespaces)?;
    let into = creation.group.clone_target();
    let into = into.or_fault(|| "open the container's cgroup".into())?;
    let child = |sync| {
        super::start(Container {
            spec,
            rootfs: &rootfs,
            staging: creation.staging,
            group: creation.group,
            filter: creation.filter.map(|f| Filter::of(spec, f)),
            stdio: creation.stdio,
            shm: None,
            sync,
            alone: Some(Alone {
                namespaces: &namespaces,
                sources: Some(sources),
                state: creation.state,
                pause: creation.pause,
                options: creation.options,
            }),
        })
    };
    hide()?;
    let init = namespaces.with_children_in(|| {
        let into = into.as_ref().map(AsFd::as_fd);
        let forked = match namespaces.joins_users() {
            true => fork_within(&namespaces, into, child),
            false => fork(namespaces.flags(), into, child),
        };
        forked.or_fault(|| "make the container's first process".into())
    })?;
    if let Some(maps) = &namespaces.maps {
        let mapped = maps.write(init.pid).and_then(|()| init.go_on());
        mapped.or_fault(|| "write the maps of the user namespace".into())?;
    }
    Ok(init)
}

/// What is asked for and cannot be had; better no container than one without it.
fn check_supported(spec: &Spec) -> Result<(), Fault> {
    super::labels::check(spec)?;
    let linux = spec.linux().as_ref();
    let devices = linux.and_then(|l| l.devices().as_deref());
    let is_relative = |device: &&LinuxDevice| !device.path().is_absolute();
    if let Some(device) = devices.unwrap_or_default().iter().find(is_relative) {
        let path = device.path().display();
        return Err(Fault::Create(format!(
            "the device {path} is not at an absolute path"
        )));
    }
    let absent = [
        (
            "linux.intelRdt",
            linux.is_some_and(|l| l.intel_rdt().is_some()),
        ),
        (
            "linux.netDevices",
            linux.is_some_and(|l| l.net_devices().as_ref().is_some_and(|n| !n.is_empty())),
        ),
    ];
    match absent.iter().find(|(_, is_asked_for)| *is_asked_for) {
        Some((what, _)) => Err(Fault::Create(format!(
            "{what} is not supported: leave it out"
        ))),
        None => Ok(()),
    }
}

/// Gives the group to the container's user, where the container may write to it
/// (config-linux.md, "Cgroup ownership").
fn delegate(creation: &Creation<'_>, namespaces: &Namespaces) -> Result<(), Fault> {
    let is_writable = |mount: &Mount| {
        let kind = mount.typ().as_deref().unwrap_or_default();
        let options = mount.options().as_deref().unwrap_or_default();
        ["cgroup", "cgroup2"].contains(&kind) && !options.iter().any(|o| o == "ro" || o == "rro")
    };
    let mounts = creation.spec.mounts().as_deref().unwrap_or_default();
    if !namespaces.makes(Kind::Cgroup) || !mounts.iter().any(is_writable) {
        return Ok(());
    }
    let process = creation.spec.process().as_ref();
    let uid = process.map_or(0, |p| p.user().uid());
    let linux = creation.spec.linux().as_ref();
    let maps = linux.and_then(|l| l.uid_mappings().as_deref());
    let on_host = match namespaces.makes(Kind::User) {
        true => super::idmap::on_host(maps.unwrap_or_default(), uid),
        false => Some(uid),
    };
    match on_host {
        None | Some(0) => Ok(()),
        Some(uid) => {
            let given = creation.group.delegate(uid);
            given.or_fault(|| "give the cgroup to the container's user".into())
        }
    }
}

/// Makes one more process of a container; it says [`Word::Terminal`], [`Word::Notify`], and [`Word::Created`].
///
/// # Errors
/// [`Failure::NotRunning`] where the container has ended.
pub(crate) fn add(addition: Addition<'_>) -> Result<Init, Failure> {
    let cpus = addition.process.exec_cpu_affinity().as_ref();
    if let Some(cpus) = cpus.and_then(|a| a.initial().as_deref()) {
        super::scheduling::run_on(cpus)?;
    }
    // The new process is seen in the container from its first moment on, with what it has from us.
    nix::sys::prctl::set_dumpable(false).or_fault(|| "hide from the container".into())?;
    let own = std::fs::File::open("/proc/self/ns/pid").or_fault(|| "open our namespaces".into())?;
    let into = addition.group.clone_target();
    let into = into.or_fault(|| "open the container's cgroup".into())?;
    let namespaces = differing(addition.init_pid).map_err(|_| Failure::NotRunning)?;
    if namespaces.contains(CloneFlags::CLONE_NEWPID) {
        setns(addition.init, CloneFlags::CLONE_NEWPID).map_err(|_| Failure::NotRunning)?;
    }
    hide()?;
    let child = |sync| {
        super::join(Joining {
            process: addition.process,
            init: addition.init,
            group: addition.group,
            filter: addition.filter.map(|f| Filter::of(addition.spec, f)),
            stdio: addition.stdio,
            sync,
            alone: Some(JoiningAlone {
                spec: addition.spec,
                namespaces: namespaces.difference(CloneFlags::CLONE_NEWPID),
                options: addition.options,
            }),
        })
    };
    let made = fork(CloneFlags::empty(), into.as_ref().map(AsFd::as_fd), child);
    setns(own, CloneFlags::CLONE_NEWPID).or_fault(|| "return to our own pid namespace".into())?;
    Ok(made.or_fault(|| "make a process in the container".into())?)
}

/// The namespaces that a process has and we have not.
fn differing(pid: Pid) -> io::Result<CloneFlags> {
    let kinds = [
        ("user", Kind::User),
        ("mnt", Kind::Mount),
        ("pid", Kind::Pid),
        ("net", Kind::Network),
        ("ipc", Kind::Ipc),
        ("uts", Kind::Uts),
        ("cgroup", Kind::Cgroup),
        ("time", Kind::Time),
    ];
    let mut flags = CloneFlags::empty();
    for (name, kind) in kinds {
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{name}"));
        let ours = match of("self") {
            // A kernel without them.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            ours => ours?,
        };
        if ours != of(&pid.to_string())? {
            flags |= flag(kind);
        }
    }
    Ok(flags)
}

impl Init {
    fn of(pid: Pid, pidfd: OwnedFd, sync: OwnedFd) -> Self {
        Self {
            pid,
            pidfd,
            sync,
            is_kept: Cell::new(false),
        }
    }

    /// Waits for its next word.
    pub fn next(&self) -> io::Result<Word> {
        let mut words = [0; 16 << 10];
        let (length, mut fds) = loop {
            match sys::socket::receive(self.sync.as_fd(), &mut words, 1) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                received => break received?,
            }
        };
        let words = &words[..length];
        if let Some(number) = words.strip_prefix(NOTIFY) {
            return self.listener(number).map(Word::Notify);
        }
        Ok(match words {
            [] => Word::Gone,
            TTY => match fds.pop() {
                Some(master) => Word::Terminal(master),
                None => return Err(io::ErrorKind::InvalidData.into()),
            },
            MOUNTED => Word::Mounted,
            READY => Word::Created,
            failure => Word::Failed(serde_json::from_slice(failure)?),
        })
    }

    /// By its number, for a filter may forbid the process to send it.
    fn listener(&self, number: &[u8]) -> io::Result<OwnedFd> {
        let number = std::str::from_utf8(number)
            .ok()
            .and_then(|n| n.parse().ok());
        let number = number.ok_or(io::ErrorKind::InvalidData)?;
        sys::process::pidfd_getfd(self.pidfd.as_fd(), number)
    }

    /// Lets it go on.
    pub fn go_on(&self) -> io::Result<()> {
        // Not write(2): it may have ended, which is no signal to us.
        sys::socket::send(self.sync.as_fd(), GO, &[]).map(drop)
    }

    pub fn kill(&self) {
        self.keep();
        crate::place_holder::end(self.pid, &self.pidfd);
    }

    /// It lives on without us.
    pub fn keep(&self) {
        self.is_kept.set(true);
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if !self.is_kept.get() {
            self.kill();
        }
    }
}

/// From its first moment a child may be looked at by the container's processes; it has this from us.
fn hide() -> Result<(), Fault> {
    nix::sys::prctl::set_dumpable(false).or_fault(|| "hide from the container".into())
}

/// As [`fork`], from inside of a user namespace that is joined: the new namespaces belong to it.
fn fork_within(
    namespaces: &Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce(OwnedFd),
) -> io::Result<Init> {
    let pair = || {
        let flags = SockFlag::SOCK_CLOEXEC;
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
    };
    let ((sync, theirs), (told, tell)) = (pair()?, pair()?);
    match sys::process::clone(CloneFlags::empty(), None)? {
        Cloned::Child => {
            drop((sync, told));
            let _ = catch_unwind(AssertUnwindSafe(|| {
                let parted = namespaces.join().map_err(|fault| fault.to_string());
                let flags = namespaces.flags() | CloneFlags::CLONE_PARENT;
                let cloned = parted
                    .and_then(|()| sys::process::clone(flags, cgroup).map_err(|e| e.to_string()));
                // Nobody else can be told.
                let _ = match cloned {
                    Ok(Cloned::Child) => {
                        drop(tell);
                        child(theirs);
                        Ok(0)
                    }
                    Ok(Cloned::Parent { pidfd, .. }) => {
                        sys::socket::send(tell.as_fd(), GO, &[pidfd.as_fd()])
                    }
                    Err(why) => sys::socket::send(tell.as_fd(), why.as_bytes(), &[]),
                };
            }));
            sys::process::exit_now(1)
        }
        Cloned::Parent { pid, .. } => {
            drop((theirs, tell));
            let mut words = [0; 4096];
            let heard = sys::socket::receive(told.as_fd(), &mut words, 1);
            let reaped = nix::sys::wait::waitpid(pid, None);
            let (length, mut fds) = heard?;
            let pidfd = fds.pop().ok_or_else(|| {
                io::Error::other(String::from_utf8_lossy(&words[..length]).into_owned())
            })?;
            let pid = reaped.map_err(io::Error::from).and_then(|_| pid_of(&pidfd));
            // Without its number it cannot be waited for; it ends all the same.
            let pid =
                pid.inspect_err(|_| drop(sys::process::pidfd_send(pidfd.as_fd(), libc::SIGKILL)))?;
            Ok(Init::of(pid, pidfd, sync))
        }
    }
}

/// A process's number as we know it, whoever made it.
fn pid_of(pidfd: &OwnedFd) -> io::Result<Pid> {
    use std::os::fd::AsRawFd;
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"));
    let pid = pid
        .and_then(|pid| pid.trim().parse().ok())
        .filter(|pid| *pid > 0);
    pid.map(Pid::from_raw)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
}

/// Forks; the child runs `child` and never comes back.
fn fork(
    flags: CloneFlags,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce(OwnedFd),
) -> io::Result<Init> {
    let (sync, theirs) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    match sys::process::clone(flags, cgroup)? {
        Cloned::Child => {
            drop(sync);
            // Until all descriptors are closed.
            let _by_page = sys::memory::map_program_by_page();
            // A panic must end here: unwinding further would be a second runtime.
            let _ = catch_unwind(AssertUnwindSafe(|| child(theirs)));
            sys::process::exit_now(1)
        }
        Cloned::Parent { pid, pidfd } => Ok(Init::of(pid, pidfd, sync)),
    }
}
