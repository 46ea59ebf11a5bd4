//! A container of its spec alone: what one that belongs to no pod does besides.
//!
//! The pod's monitor has a pod's namespaces and stays with its containers; here
//! the container's process enters its namespaces itself, waits for its user
//! namespace's maps and for the hooks, and for the start.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use oci_spec::runtime::{ContainerState, LinuxNamespaceType as Kind, Spec, State};

use super::namespaces::Namespaces;
use super::sources::Sources;
use super::{Fault, OrFault, Pause, hooks};

/// Everything is mounted and nothing pivoted: the time of the hooks.
pub(crate) const MOUNTED: &[u8] = b"mounted";
/// The parent may go on with its own work when it hears `ready`; this is its answer to all else.
pub(crate) const GO: &[u8] = b"go";

/// What a container has that belongs to no pod.
pub(crate) struct Alone<'a> {
    pub namespaces: &'a Namespaces,
    /// Opened by the parent, for in a user namespace the container's own root may not be able to.
    pub sources: Option<Sources>,
    /// What the hooks are told; status and process id, as the container knows it, are filled in.
    pub state: State,
    /// Without one the program is executed at once.
    pub pause: Option<Pause>,
    pub options: Options,
}

/// The choices of runc's command line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// The root is moved, not pivoted to: for a host whose root is a ramfs.
    pub no_pivot: bool,
    /// The caller's session keyring stays.
    pub keeps_keyring: bool,
    /// Descriptors from 3 on that the program gets.
    pub preserve_fds: u32,
}

impl Alone<'_> {
    /// Enters all namespaces but what depends on the cgroup.
    pub fn enter(&mut self, sync: &OwnedFd, spec: &Spec) -> Result<(), Fault> {
        if !self.namespaces.joins_users() {
            // Else before the clone, so that the new ones belong to the user namespace.
            self.namespaces.join()?;
        }
        self.namespaces.join_mount()?;
        if self.namespaces.makes(Kind::User) {
            // Its maps take the parent's privileges.
            hear(sync)?;
        }
        self.namespaces.make_cgroup()?;
        name(spec)?;
        if self.namespaces.makes(Kind::Network) {
            sys::net::loopback_up().or_fault(|| "bring up the loopback interface".into())?;
        }
        Ok(())
    }

    /// The hooks of the create: the parent's in the host's namespaces, then ours.
    pub fn run_create_hooks(&mut self, sync: &OwnedFd, spec: &Spec) -> Result<(), Fault> {
        nix::unistd::write(sync, MOUNTED).or_fault(|| "tell the runtime".into())?;
        hear(sync)?;
        // As it is seen by the hooks in here.
        self.state.set_pid(Some(nix::unistd::getpid().as_raw()));
        self.state.set_status(ContainerState::Creating);
        let hooks = spec.hooks().as_ref();
        let hooks = hooks.and_then(|h| h.create_container().as_deref());
        hooks::run_all(hooks, "createContainer", &self.state).map_err(Fault::Create)
    }

    /// Nothing but the exec is left: waits for the start, where there is one to wait for.
    pub fn await_start(&mut self, spec: &Spec) -> Result<(), Fault> {
        if let Some(pause) = &self.pause {
            pause.wait()?;
        }
        self.state.set_status(ContainerState::Created);
        let hooks = spec.hooks().as_ref();
        let hooks = hooks.and_then(|h| h.start_container().as_deref());
        hooks::run_all(hooks, "startContainer", &self.state).map_err(Fault::Create)?;
        if let Some(pause) = &self.pause {
            pause.ready();
        }
        Ok(())
    }

    /// What stays open beside the socket.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.pause.iter().flat_map(Pause::descriptors).collect()
    }
}

/// Waits for the parent's word.
fn hear(sync: &OwnedFd) -> Result<(), Fault> {
    let mut word = [0; GO.len()];
    let heard = loop {
        match nix::unistd::read(sync, &mut word) {
            Err(Errno::EINTR) => {}
            heard => break heard.or_fault(|| "wait for the runtime".into())?,
        }
    };
    match &word[..heard] {
        GO => Ok(()),
        _ => Err(Fault::Create("the runtime is gone".into())),
    }
}

/// Has the parent take the listener of a seccomp filter, by its number: sendmsg(2) may be what it listens for.
pub(crate) fn hand_over(listener: &OwnedFd, sync: &OwnedFd) -> Result<(), Fault> {
    let mut word = super::create::NOTIFY.to_vec();
    word.extend_from_slice(listener.as_raw_fd().to_string().as_bytes());
    nix::unistd::write(sync, &word).or_fault(|| "hand the seccomp listener over".into())?;
    hear(sync)
}

fn name(spec: &Spec) -> Result<(), Fault> {
    let given = |name: &Option<String>| name.clone().filter(|n| !n.is_empty());
    for name in [spec.hostname(), spec.domainname()].into_iter().flatten() {
        // The kernel takes bytes by their count, and would show half of it to most.
        if name.contains('\0') {
            return Err(Fault::Create(format!("the name {name:?} has a null byte")));
        }
    }
    if let Some(name) = given(spec.hostname()) {
        nix::unistd::sethostname(&name).or_fault(|| format!("set the hostname {name:?}"))?;
    }
    if let Some(name) = given(spec.domainname()) {
        sys::process::set_domain_name(&name)
            .or_fault(|| format!("set the domain name {name:?}"))?;
    }
    Ok(())
}
