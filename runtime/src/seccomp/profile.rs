//! The default profile: what containers may ask of the kernel.
//!
//! What Docker's and containerd's default allows: everything but what reaches
//! beyond the container, with some of that given back to those who hold the
//! capability for it. What is in no list answers EPERM, or ENOSYS where a
//! library is known to try it first and fall back.

use std::collections::HashSet;

use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall, LinuxSyscallBuilder,
};

mod calls;

use calls::{ALWAYS, WITH_CAPABILITY};

/// The profile for a container with these capabilities.
pub fn default_profile(capabilities: &HashSet<Capability>) -> LinuxSeccomp {
    let is_admin = capabilities.contains(&Capability::SysAdmin);
    let mut rules = vec![allow(ALWAYS, Vec::new())];
    rules.extend(personalities());
    // AF_VSOCK (40) talks to the hypervisor: every other family is allowed.
    rules.push(allow(
        &["socket"],
        vec![arg(0, LinuxSeccompOperator::ScmpCmpNe, 40, None)],
    ));
    rules.extend(
        WITH_CAPABILITY
            .iter()
            .filter(|(cap, _)| capabilities.contains(cap))
            .map(|(_, names)| allow(names, Vec::new())),
    );
    if !is_admin {
        rules.push(allow(&["clone"], vec![no_namespaces()]));
        // Its flags are in memory, where a filter cannot look: glibc falls back to clone(2).
        rules.push(refuse(&["clone3"], libc::ENOSYS.cast_unsigned()));
    }
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(libc::EPERM.cast_unsigned())
        .architectures(architectures())
        .syscalls(rules)
        .build()
        .expect("every field of the builder has a default")
}

#[cfg(target_arch = "x86_64")]
fn architectures() -> Vec<Arch> {
    vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32]
}

#[cfg(not(target_arch = "x86_64"))]
fn architectures() -> Vec<Arch> {
    vec![Arch::ScmpArchNative]
}

/// personality(2): Linux, 32-bit addresses, both, and "tell me".
fn personalities() -> impl Iterator<Item = LinuxSyscall> {
    [0x0, 0x0008, 0x20000, 0x20008, 0xffff_ffff]
        .map(|persona| {
            allow(
                &["personality"],
                vec![arg(0, LinuxSeccompOperator::ScmpCmpEq, persona, None)],
            )
        })
        .into_iter()
}

/// clone(2) without any CLONE_NEW* but a time namespace, which shares its bit with a signal.
fn no_namespaces() -> LinuxSeccompArg {
    const NEW_NAMESPACES: u64 = 0x7e02_0000;
    arg(
        0,
        LinuxSeccompOperator::ScmpCmpMaskedEq,
        NEW_NAMESPACES,
        Some(0),
    )
}

fn arg(
    index: usize,
    op: LinuxSeccompOperator,
    value: u64,
    value_two: Option<u64>,
) -> LinuxSeccompArg {
    let mut arg = LinuxSeccompArgBuilder::default()
        .index(index)
        .op(op)
        .value(value);
    if let Some(value_two) = value_two {
        arg = arg.value_two(value_two);
    }
    arg.build()
        .expect("every field of the builder has a default")
}

fn rule(names: &[&str]) -> LinuxSyscallBuilder {
    LinuxSyscallBuilder::default().names(names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>())
}

fn allow(names: &[&str], args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    let rule = rule(names)
        .action(LinuxSeccompAction::ScmpActAllow)
        .args(args);
    rule.build()
        .expect("every field of the builder has a default")
}

fn refuse(names: &[&str], errno: u32) -> LinuxSyscall {
    let rule = rule(names)
        .action(LinuxSeccompAction::ScmpActErrno)
        .errno_ret(errno);
    rule.build()
        .expect("every field of the builder has a default")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(profile: &LinuxSeccomp) -> HashSet<&str> {
        let allowed = |r: &&LinuxSyscall| r.action() == LinuxSeccompAction::ScmpActAllow;
        let rules = profile.syscalls().iter().flatten().filter(allowed);
        rules
            .flat_map(|r| r.names().iter().map(String::as_str))
            .collect()
    }

    #[test]
    fn what_reaches_beyond_the_container_takes_its_capability() {
        let without = default_profile(&HashSet::new());
        let beyond = [
            "mount",
            "bpf",
            "init_module",
            "reboot",
            "setns",
            "settimeofday",
            "open_by_handle_at",
            "chroot",
        ];
        assert_eq!(beyond.map(|n| names(&without).contains(n)), [false; 8]);
        let with = default_profile(&crate::defaults::ALL_CAPABILITIES.into());
        assert_eq!(beyond.map(|n| names(&with).contains(n)), [true; 8]);
    }

    #[test]
    fn keys_and_kernel_images_are_refused_to_everyone() {
        let with = default_profile(&crate::defaults::ALL_CAPABILITIES.into());
        let never = [
            "add_key",
            "keyctl",
            "request_key",
            "kexec_load",
            "userfaultfd",
            "io_uring_setup",
        ];
        assert_eq!(never.map(|n| names(&with).contains(n)), [false; 6]);
    }

    #[test]
    fn the_default_profile_compiles_to_a_filter_the_kernel_takes() {
        let filter = crate::seccomp::compile(&default_profile(&HashSet::new())).unwrap();
        // BPF_MAXINSNS, seccomp(2).
        assert!(
            (100..=4096).contains(&(filter.len() / 8)),
            "{} instructions",
            filter.len() / 8
        );
    }
}
