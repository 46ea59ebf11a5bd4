//! Who the process is and what it may do.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::str::FromStr;

use caps::{CapSet, Capability as Cap};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use oci_spec::runtime::{
    Capability, LinuxCapabilities, PosixRlimit, PosixRlimitType, Process, Spec,
};

use super::{Fault, OrFault, alone, die_with_parent, labels, program, scheduling};

/// A compiled seccomp profile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter<'a> {
    pub program: &'a [u8],
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

impl<'a> Filter<'a> {
    /// The spec's profile as it was compiled.
    pub fn of(spec: &Spec, program: &'a [u8]) -> Self {
        let profile = spec.linux().as_ref().and_then(|l| l.seccomp().as_ref());
        Self {
            program,
            flags: profile.map_or(0, crate::seccomp::flags),
        }
    }
}

/// Takes everything away that the process is not to have.
pub struct Confinement<'a> {
    pub process: &'a Process,
    pub filter: Option<Filter<'a>>,
    /// Told of a filter's listener, and answers.
    pub sync: &'a OwnedFd,
    pub dies_with_parent: bool,
}

impl Confinement<'_> {
    pub fn confine(&self) -> Result<(), Fault> {
        let process = self.process;
        set_limits(process.rlimits().as_deref().unwrap_or_default())?;
        labels::apply(process)?;
        scheduling::apply(process)?;
        let none = LinuxCapabilities::default();
        let sets = Sets::of(process.capabilities().as_ref().unwrap_or(&none))?;
        sets.bound()?;
        let has_cwd = enter_cwd(process.cwd());
        let no_new_privileges = process.no_new_privileges().unwrap_or(false);
        // Without no_new_privs a filter takes CAP_SYS_ADMIN, which goes below; with it, the later the better.
        if !no_new_privileges {
            self.load()?;
        }
        become_user(process)?;
        sets.take()?;
        if !has_cwd {
            program::change_dir(process.cwd())?;
        }
        if self.dies_with_parent {
            die_with_parent()?;
        }
        if no_new_privileges {
            prctl::set_no_new_privs().or_fault(|| "set no_new_privs".into())?;
            self.load()?;
        }
        Ok(())
    }

    fn load(&self) -> Result<(), Fault> {
        let Some(filter) = self.filter else {
            return Ok(());
        };
        let listener = sys::process::load_seccomp(filter.program, filter.flags)
            .or_fault(|| "load the seccomp filter".into())?;
        match listener {
            Some(listener) => alone::hand_over(&listener, self.sync),
            None => Ok(()),
        }
    }
}

/// As root first: the user need not be able to reach it. Says whether it is done.
fn enter_cwd(cwd: &Path) -> bool {
    program::change_dir(cwd).is_ok()
}

fn become_user(process: &Process) -> Result<(), Fault> {
    let user = process.user();
    if let Some(mask) = user.umask() {
        umask(Mode::from_bits_truncate(mask));
    }
    prctl::set_keepcaps(true).or_fault(|| "keep capabilities".into())?;
    let groups: Vec<Gid> = user
        .additional_gids()
        .iter()
        .flatten()
        .map(|&gid| Gid::from_raw(gid))
        .collect();
    setgroups(&groups).or_fault(|| "set the supplementary groups".into())?;
    let (uid, gid) = (real(user.uid(), "user")?, real(user.gid(), "group")?);
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setresgid(gid, gid, gid).or_fault(|| format!("become group {gid}"))?;
    setresuid(uid, uid, uid).or_fault(|| format!("become user {uid}"))?;
    prctl::set_keepcaps(false).or_fault(|| "keep no capabilities".into())
}

/// setresuid(2) takes the last number there is for "leave it as it is": root (CVE-2024-40635).
fn real(id: u32, what: &str) -> Result<u32, Fault> {
    match id {
        u32::MAX => Err(Fault::Create(format!("{id} is no {what} id"))),
        id => Ok(id),
    }
}

/// The five sets, without what this host's root lacks itself.
struct Sets {
    bounding: HashSet<Cap>,
    effective: HashSet<Cap>,
    permitted: HashSet<Cap>,
    inheritable: HashSet<Cap>,
    ambient: HashSet<Cap>,
}

impl Sets {
    fn of(wanted: &LinuxCapabilities) -> Result<Self, Fault> {
        let held =
            caps::read(None, CapSet::Permitted).or_fault(|| "read our capabilities".into())?;
        let set = |wanted: &Option<HashSet<Capability>>| -> HashSet<Cap> {
            wanted
                .iter()
                .flatten()
                .filter_map(known)
                .filter(|c| held.contains(c))
                .collect()
        };
        let (permitted, inheritable) = (set(wanted.permitted()), set(wanted.inheritable()));
        // capabilities(7): an ambient one is permitted and inheritable. Runc leaves others out, and
        // its own `spec` asks for such.
        let mut ambient = set(wanted.ambient());
        ambient.retain(|c| permitted.contains(c) && inheritable.contains(c));
        Ok(Self {
            bounding: set(wanted.bounding()),
            effective: set(wanted.effective()),
            permitted,
            inheritable,
            ambient,
        })
    }

    /// While CAP_SETPCAP is still held.
    fn bound(&self) -> Result<(), Fault> {
        for cap in caps::all().difference(&self.bounding) {
            match caps::drop(None, CapSet::Bounding, *cap) {
                // A kernel older than the capability.
                Err(_)
                    if !caps::runtime::procfs_all_supported(None)
                        .is_ok_and(|all| all.contains(cap)) => {}
                dropped => dropped.or_fault(|| format!("drop {cap} from the bounding set"))?,
            }
        }
        Ok(())
    }

    fn take(&self) -> Result<(), Fault> {
        let what = || "set capabilities".to_owned();
        // Effective before permitted: the kernel refuses an effective one that is not permitted.
        caps::set(None, CapSet::Effective, &self.effective).or_fault(what)?;
        caps::set(None, CapSet::Permitted, &self.permitted).or_fault(what)?;
        caps::set(None, CapSet::Inheritable, &self.inheritable).or_fault(what)?;
        if self.ambient.is_empty() {
            // One call, where `set` takes one for every capability there is.
            return caps::clear(None, CapSet::Ambient).or_fault(what);
        }
        caps::set(None, CapSet::Ambient, &self.ambient).or_fault(what)
    }
}

fn known(capability: &Capability) -> Option<Cap> {
    Cap::from_str(&format!("CAP_{capability}")).ok()
}

fn set_limits(limits: &[PosixRlimit]) -> Result<(), Fault> {
    for (index, limit) in limits.iter().enumerate() {
        if limits[..index].iter().any(|l| l.typ() == limit.typ()) {
            return Err(Fault::Create(format!(
                "process.rlimits has {} twice",
                limit.typ()
            )));
        }
        set_limit(limit)?;
    }
    Ok(())
}

fn set_limit(limit: &PosixRlimit) -> Result<(), Fault> {
    let resource = match limit.typ() {
        PosixRlimitType::RlimitCpu => Resource::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => Resource::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => Resource::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => Resource::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => Resource::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => Resource::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => Resource::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => Resource::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => Resource::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => Resource::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => Resource::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => Resource::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => Resource::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => Resource::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => Resource::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => Resource::RLIMIT_RTTIME,
    };
    setrlimit(resource, limit.soft(), limit.hard()).or_fault(|| format!("set {}", limit.typ()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_of_the_spec_is_known_by_name() {
        let all: HashSet<Cap> = crate::defaults::ALL_CAPABILITIES
            .iter()
            .filter_map(known)
            .collect();
        assert_eq!(all, caps::all());
    }
}
