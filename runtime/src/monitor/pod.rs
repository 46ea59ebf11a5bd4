//! The namespaces of the pod, held by the monitor's being in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns, unshare};
use oci_spec::runtime::LinuxNamespaceType;

use crate::config::{PidNamespace, SandboxConfig, Scope};
use crate::init::sysctl;
use crate::sandbox::Record;
use crate::{Error, Result};

mod reaper;
mod shm;

pub(crate) use shm::Shm;

pub struct Pod {
    /// The pid namespace that containers are born into unless they get their own.
    born_into: File,
    shm: Option<Shm>,
    reaper: Option<OwnedFd>,
}

impl Pod {
    /// Makes the pod's namespaces and enters them.
    pub fn open(record: &Record) -> Result<Self> {
        let config = &record.config;
        let mut flags = CloneFlags::empty();
        if config.namespaces.network == Scope::Pod {
            flags |= CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS;
        }
        if config.namespaces.ipc == Scope::Pod {
            flags |= CloneFlags::CLONE_NEWIPC;
        }
        unshare(flags).map_err(|e| node("make the pod's namespaces", &e))?;
        if config.namespaces.network == Scope::Pod {
            nix::unistd::sethostname(&config.hostname).map_err(|e| node("set the hostname", &e))?;
            sys::net::loopback_up().map_err(|e| node("bring up the loopback interface", &e))?;
        }
        set_sysctls(config)?;
        let reaper = (config.namespaces.pid == PidNamespace::Pod)
            .then(reaper::start)
            .transpose();
        let reaper = reaper.map_err(|e| node("share a pid namespace", &e))?;
        if let Some(reaper) = &reaper {
            setns(reaper, CloneFlags::CLONE_NEWPID)
                .map_err(|e| node("share a pid namespace", &e))?;
        }
        let born_into = File::open("/proc/self/ns/pid_for_children")
            .map_err(|e| node("open the pid namespace", &e))?;
        Ok(Self {
            born_into,
            shm: None,
            reaper,
        })
    }

    /// Runs `fork` so that the child is born into the pid namespace of `process`.
    pub fn beside<T>(
        &self,
        process: BorrowedFd<'_>,
        fork: impl FnOnce() -> T,
    ) -> std::io::Result<T> {
        setns(process, CloneFlags::CLONE_NEWPID)?;
        let forked = fork();
        setns(&self.born_into, CloneFlags::CLONE_NEWPID)?;
        Ok(forked)
    }

    /// Ends the shared pid namespace and all that is left in it.
    pub fn kill(&self) {
        if let Some(reaper) = &self.reaper {
            // It may have been killed by someone else.
            let _ = sys::process::pidfd_send(reaper.as_fd(), libc::SIGKILL);
        }
    }

    /// The pod's `/dev/shm`, made when first asked for.
    pub fn shm(&mut self, place: &Path) -> Result<&Shm> {
        if self.shm.is_none() {
            self.shm = Some(Shm::new(place).map_err(|e| node("make /dev/shm", &e))?);
        }
        Ok(self.shm.as_ref().expect("filled above"))
    }
}

fn node(what: &str, error: &dyn std::error::Error) -> Error {
    Error::Node {
        what: format!("{what}: {error}"),
    }
}

fn set_sysctls(config: &SandboxConfig) -> Result<()> {
    check_sysctls(&config.sysctls, config)?;
    sysctl::write_all(&config.sysctls).map_err(|fault| Error::Node {
        what: fault.to_string(),
    })
}

/// Only what a namespace of the pod's own holds: all else is the host's (CVE-2022-0811).
fn check_sysctls(sysctls: &BTreeMap<String, String>, config: &SandboxConfig) -> Result<()> {
    for name in sysctls.keys() {
        let scope = match sysctl::namespace_of(name) {
            Some(LinuxNamespaceType::Network) => config.namespaces.network,
            Some(LinuxNamespaceType::Ipc) => config.namespaces.ipc,
            _ => Scope::Host,
        };
        if scope != Scope::Pod {
            return Err(Error::Node {
                what: format!("sysctl {name:?} is not the pod's own to set"),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Namespaces;

    fn allows(name: &str, namespaces: Namespaces) -> bool {
        let config = SandboxConfig {
            namespaces,
            ..SandboxConfig::default()
        };
        check_sysctls(&[(name.to_owned(), "1".to_owned())].into(), &config).is_ok()
    }

    #[test]
    fn only_sysctls_of_the_pods_own_namespaces_are_set() {
        let own = Namespaces::default();
        let allowed = [
            "net.ipv4.ip_unprivileged_port_start",
            "kernel.shm_rmid_forced",
            "kernel.sem",
            "fs.mqueue.msg_max",
        ];
        assert_eq!(allowed.map(|n| allows(n, own)), [true; 4]);
        let refused = [
            "kernel.core_pattern",
            "vm.swappiness",
            "net/../kernel/core_pattern",
            "fs.file-max",
        ];
        assert_eq!(refused.map(|n| allows(n, own)), [false; 4]);
    }

    #[test]
    fn a_pod_on_the_hosts_network_sets_no_sysctl_of_it() {
        let host = Namespaces {
            network: Scope::Host,
            ..Namespaces::default()
        };
        assert!(!allows("net.core.somaxconn", host));
        assert!(allows("kernel.sem", host));
    }
}
