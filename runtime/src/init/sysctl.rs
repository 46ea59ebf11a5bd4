//! Sysctls: those that a namespace of the container's own holds, and no others.
//!
//! All else is the host's (CVE-2022-0811). They are written through a procfs that
//! nobody else can reach (CVE-2025-52881).

use std::collections::BTreeMap;
use std::path::{Component, Path};

use oci_spec::runtime::{LinuxNamespaceType as Kind, Spec};

use super::namespaces::Namespaces;
use super::procfs::Procfs;
use super::{Fault, OrFault};

/// Which namespace a sysctl belongs to; none for one of the host's.
pub(crate) fn namespace_of(name: &str) -> Option<Kind> {
    let path = file_of(name);
    let is_plain = Path::new(&path)
        .components()
        .all(|c| matches!(c, Component::Normal(_)));
    let is_below = |dirs: &[&str]| dirs.iter().any(|dir| path.starts_with(dir));
    match path.as_str() {
        _ if !is_plain => None,
        "kernel/sem" => Some(Kind::Ipc),
        "kernel/domainname" => Some(Kind::Uts),
        _ if is_below(&["kernel/shm", "kernel/msg", "fs/mqueue/"]) => Some(Kind::Ipc),
        _ if is_below(&["net/"]) => Some(Kind::Network),
        _ if is_below(&["user/"]) => Some(Kind::User),
        _ => None,
    }
}

/// `net.ipv4.tcp_syncookies`; with slashes, a name may hold dots.
fn file_of(name: &str) -> String {
    if name.contains('/') {
        name.to_owned()
    } else {
        name.replace('.', "/")
    }
}

/// Writes sysctls that [`namespace_of`] was asked about.
pub(crate) fn write_all<'a>(
    sysctls: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<(), Fault> {
    let mut sysctls = sysctls.into_iter().peekable();
    if sysctls.peek().is_none() {
        return Ok(());
    }
    let procfs = Procfs::open().or_fault(|| "mount a procfs".into())?;
    for (name, value) in sysctls {
        let path = Path::new("sys").join(file_of(name));
        let written = procfs.write(&path, value.as_bytes());
        written.or_fault(|| format!("set the sysctl {name} to {value:?}"))?;
    }
    Ok(())
}

/// Sets those of a container that belongs to no pod, in the order of their names.
pub fn apply(spec: &Spec, namespaces: &Namespaces) -> Result<(), Fault> {
    let sysctls = spec.linux().as_ref().and_then(|l| l.sysctl().as_ref());
    let sysctls: BTreeMap<_, _> = sysctls.into_iter().flatten().collect();
    for name in sysctls.keys() {
        check(name, namespaces)?;
    }
    write_all(sysctls)
}

fn check(name: &str, namespaces: &Namespaces) -> Result<(), Fault> {
    let why = match namespace_of(name) {
        Some(kind) if namespaces.has(kind) => return Ok(()),
        Some(kind) => format!("it takes a {kind} namespace of the container's own"),
        None if file_of(name) == "kernel/hostname" => "use the spec's hostname".into(),
        None => "it is not in a separate kernel namespace".into(),
    };
    Err(Fault::Create(format!(
        "sysctl {name:?} is not allowed: {why}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysctl_belongs_to_a_namespace_or_to_the_host() {
        let expected = [
            ("net.ipv4.ip_forward", Some(Kind::Network)),
            ("net/ipv4/conf/eth0.1/forwarding", Some(Kind::Network)),
            ("kernel.shm_rmid_forced", Some(Kind::Ipc)),
            ("kernel.sem", Some(Kind::Ipc)),
            ("fs.mqueue.msg_max", Some(Kind::Ipc)),
            ("kernel.domainname", Some(Kind::Uts)),
            ("user.max_user_namespaces", Some(Kind::User)),
            ("kernel.hostname", None),
            ("kernel.core_pattern", None),
            ("vm.swappiness", None),
            ("net/../kernel/core_pattern", None),
            ("/net/ipv4/ip_forward", None),
            ("kernel.semantics", None),
            ("", None),
        ];
        for (name, kind) in expected {
            assert_eq!(namespace_of(name), kind, "{name}");
        }
    }
}
