//! The labels of security modules: AppArmor's profile, SELinux' context.
//!
//! What the spec asks for and the kernel has not is an error: a container that
//! is to be confined does not start unconfined.

use std::path::Path;

use nix::sys::statfs::{FsType, statfs};
use oci_spec::runtime::{Process, Spec};

use super::procfs::Procfs;
use super::{Fault, OrFault};

/// selinux(8); not in `nix`.
const SELINUX_MAGIC: FsType = FsType(0xf97c_ff8c);

/// Takes effect with the exec.
pub fn apply(process: &Process) -> Result<(), Fault> {
    if let Some(profile) = apparmor(process)? {
        let files = ["self/attr/apparmor/exec", "self/attr/exec"];
        let what = || format!("apply the AppArmor profile {profile:?}");
        write(&files, &format!("exec {profile}")).or_fault(what)?;
    }
    let label = process.selinux_label().as_deref();
    if let Some(label) = label.filter(|l| !l.is_empty()) {
        check_selinux("process.selinuxLabel", label)?;
        write(&["self/attr/exec"], label)
            .or_fault(|| format!("apply the SELinux label {label:?}"))?;
    }
    Ok(())
}

fn apparmor(process: &Process) -> Result<Option<&str>, Fault> {
    let profile = process.apparmor_profile().as_deref();
    let Some(profile) = profile.filter(|p| !p.is_empty()) else {
        return Ok(None);
    };
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
    match enabled {
        Ok(word) if word.trim() == "Y" => Ok(Some(profile)),
        _ if profile == "unconfined" => Ok(None),
        _ => Err(Fault::Create(format!(
            "the AppArmor profile {profile:?} is asked for, but this kernel has no AppArmor: leave process.apparmorProfile out"
        ))),
    }
}

/// Before `/sys` is the container's: whether all that is asked for can be had.
pub fn check(spec: &Spec) -> Result<(), Fault> {
    if let Some(process) = spec.process() {
        apparmor(process)?;
        let label = process.selinux_label().as_deref().unwrap_or_default();
        check_selinux("process.selinuxLabel", label)?;
    }
    check_selinux("linux.mountLabel", mount_label(spec).unwrap_or_default())
}

/// What files of the container's new file systems are labelled with.
pub fn mount_label(spec: &Spec) -> Option<&str> {
    let label = spec
        .linux()
        .as_ref()
        .and_then(|l| l.mount_label().as_deref());
    label.filter(|l| !l.is_empty())
}

fn check_selinux(what: &str, label: &str) -> Result<(), Fault> {
    let is_there = || {
        statfs(Path::new("/sys/fs/selinux")).is_ok_and(|fs| fs.filesystem_type() == SELINUX_MAGIC)
    };
    if label.is_empty() || is_there() {
        return Ok(());
    }
    Err(Fault::Create(format!(
        "{what} is {label:?}, but SELinux is disabled on this kernel: leave it out"
    )))
}

/// Writes to the first of the files that this kernel has.
fn write(files: &[&str], value: &str) -> std::io::Result<()> {
    let procfs = Procfs::open()?;
    let mut result = Ok(());
    for file in files {
        result = procfs.write(Path::new(file), value.as_bytes());
        match &result {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            _ => return result,
        }
    }
    result
}
