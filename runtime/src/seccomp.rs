//! Seccomp profiles, compiled to what the kernel takes.
//!
//! Compiling happens in the agent, once a container; the monitor and the
//! container's own side only ever see the finished filter.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex, PoisonError};

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};

use crate::{Error, Result};

mod profile;

pub use profile::default_profile;

/// Compiles profiles, and remembers the last few: most containers of a node have the same.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    known: Mutex<Vec<(LinuxSeccomp, Arc<[u8]>)>>,
}

/// How many profiles are remembered.
const MAX_KNOWN: usize = 16;

impl Compiler {
    pub fn compile(&self, profile: &LinuxSeccomp) -> Result<Arc<[u8]>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, filter)) = known().iter().find(|(known, _)| known == profile) {
            return Ok(filter.clone());
        }
        let filter: Arc<[u8]> = compile(profile)?.into();
        let mut known = known();
        if known.len() == MAX_KNOWN {
            known.remove(0);
        }
        known.push((profile.clone(), filter.clone()));
        Ok(filter)
    }
}

/// Compiles a profile.
///
/// # Errors
/// [`Error::Create`] for one that cannot be enforced as it stands: the
/// container must then not start (fail closed).
pub fn compile(profile: &LinuxSeccomp) -> Result<Vec<u8>> {
    let filter = build(profile).map_err(|e| refused(&e.to_string()))?;
    let read = || {
        let mut file = File::from(memfd_create(c"seccomp", MFdFlags::MFD_CLOEXEC)?);
        filter
            .export_bpf(&mut file)
            .map_err(std::io::Error::other)?;
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    };
    read().map_err(|e| refused(&e.to_string()))
}

fn refused(why: &str) -> Error {
    Error::Create {
        message: format!("compile the seccomp profile: {why}"),
    }
}

fn build(
    profile: &LinuxSeccomp,
) -> std::result::Result<ScmpFilterContext, Box<dyn std::error::Error>> {
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let mut filter = ScmpFilterContext::new(default)?;
    // Whether it is set is the spec's to say, not the filter's.
    filter.set_ctl_nnp(false)?;
    for arch in profile.architectures().iter().flatten() {
        filter.add_arch(architecture(*arch)?)?;
    }
    for rule in profile.syscalls().iter().flatten() {
        add(&mut filter, rule, default)?;
    }
    Ok(filter)
}

fn add(
    filter: &mut ScmpFilterContext,
    rule: &LinuxSyscall,
    default: ScmpAction,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let action = action(rule.action(), rule.errno_ret())?;
    if action == default {
        return Ok(());
    }
    for name in rule.names() {
        // Profiles name calls of every architecture and of newer kernels.
        let Ok(syscall) = ScmpSyscall::from_name(name) else {
            continue;
        };
        match rule.args().as_deref() {
            None | Some([]) => filter.add_rule(action, syscall)?,
            Some(args) => add_conditional(filter, action, syscall, args)?,
        };
    }
    Ok(())
}

/// All conditions hold at once, unless two are about one argument: then any will do, as in runc.
fn add_conditional<'a>(
    filter: &'a mut ScmpFilterContext,
    action: ScmpAction,
    syscall: ScmpSyscall,
    args: &[LinuxSeccompArg],
) -> std::result::Result<&'a mut ScmpFilterContext, Box<dyn std::error::Error>> {
    let conditions = args
        .iter()
        .map(condition)
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let is_repeated = |i: usize| args.iter().filter(|a| a.index() == args[i].index()).count() > 1;
    if (0..args.len()).any(is_repeated) {
        for condition in conditions {
            filter.add_rule_conditional(action, syscall, &[condition])?;
        }
        return Ok(filter);
    }
    Ok(filter.add_rule_conditional(action, syscall, &conditions)?)
}

fn condition(
    arg: &LinuxSeccompArg,
) -> std::result::Result<ScmpArgCompare, Box<dyn std::error::Error>> {
    let index = u32::try_from(arg.index())?;
    let op = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => ScmpCompareOp::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => ScmpCompareOp::Less,
        LinuxSeccompOperator::ScmpCmpLe => ScmpCompareOp::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => ScmpCompareOp::Equal,
        LinuxSeccompOperator::ScmpCmpGe => ScmpCompareOp::GreaterEqual,
        LinuxSeccompOperator::ScmpCmpGt => ScmpCompareOp::Greater,
        // The mask is the first value and what is left of it the second.
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let op = ScmpCompareOp::MaskedEqual(arg.value());
            return Ok(ScmpArgCompare::new(index, op, arg.value_two().unwrap_or(0)));
        }
    };
    Ok(ScmpArgCompare::new(index, op, arg.value()))
}

fn action(
    action: LinuxSeccompAction,
    errno: Option<u32>,
) -> std::result::Result<ScmpAction, Box<dyn std::error::Error>> {
    let errno = i32::try_from(errno.unwrap_or(libc::EPERM.cast_unsigned()))?;
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            ScmpAction::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(errno),
        LinuxSeccompAction::ScmpActTrace => ScmpAction::Trace(u16::try_from(errno)?),
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
        LinuxSeccompAction::ScmpActNotify => return Err("SCMP_ACT_NOTIFY is not supported".into()),
    })
}

fn architecture(arch: Arch) -> std::result::Result<ScmpArch, Box<dyn std::error::Error>> {
    Ok(match arch {
        Arch::ScmpArchNative => ScmpArch::Native,
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        other => return Err(format!("architecture {other:?} is not one skiff runs on").into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Capability;

    #[test]
    fn a_profile_is_compiled_once_and_another_one_for_itself() {
        let compiler = Compiler::default();
        let profile = |caps: &[Capability]| default_profile(&caps.iter().copied().collect());
        let one = compiler.compile(&profile(&[])).unwrap();
        assert!(Arc::ptr_eq(&one, &compiler.compile(&profile(&[])).unwrap()));
        let other = compiler.compile(&profile(&[Capability::SysAdmin])).unwrap();
        assert_ne!(one, other);
    }
}
