//! Seccomp profiles, compiled to what the kernel takes.
//!
//! Compiling happens in the agent, once a container; the monitor and the
//! container's own side only ever see the finished filter.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex, PoisonError};

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use nix::sys::memfd::{MFdFlags, memfd_create};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSyscall,
};

use crate::{Error, Result};

mod profile;
mod words;

pub use profile::default_profile;

/// Compiles profiles, and remembers the last few: most containers of a node have the same.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    known: Mutex<Vec<(LinuxSeccomp, Arc<[u8]>)>>,
}

/// How many profiles are remembered.
const MAX_KNOWN: usize = 16;

impl Compiler {
    /// # Errors
    /// As [`compile`]; and for a pod's containers nobody listens.
    pub fn compile(&self, profile: &LinuxSeccomp) -> Result<Arc<[u8]>> {
        if notifies(profile) {
            return Err(refused("SCMP_ACT_NOTIFY is not supported in pods"));
        }
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
    check_notify(profile)?;
    let default = words::action(profile.default_action(), profile.default_errno_ret())?;
    let mut filter = ScmpFilterContext::new(default)?;
    // Whether it is set is the spec's to say, not the filter's.
    filter.set_ctl_nnp(false)?;
    for arch in profile.architectures().iter().flatten() {
        filter.add_arch(words::architecture(*arch))?;
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
    let action = words::action(rule.action(), rule.errno_ret())?;
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
        .map(words::condition)
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

/// What the profile is to be loaded with, beside its program (seccomp(2)).
pub(crate) fn flags(profile: &LinuxSeccomp) -> u32 {
    let asked_for = profile.flags().as_deref();
    // As runc: a profile without the list means it to be fast, one with an empty list none of them.
    let default = [LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow];
    let flags = asked_for.unwrap_or(&default).iter();
    let flags = flags.fold(0, |all, flag| all | words::flag(*flag));
    let listens = u32::try_from(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
        .expect("the kernel's flags are in the low bits");
    if notifies(profile) {
        flags | listens
    } else {
        flags
    }
}

/// Whether any call is told to somebody who listens.
fn notifies(profile: &LinuxSeccomp) -> bool {
    let rules = profile.syscalls().iter().flatten();
    let mut actions = rules.map(LinuxSyscall::action);
    actions.any(|action| action == LinuxSeccompAction::ScmpActNotify)
}

/// What would have the container wait for a listener that cannot be told of it.
fn check_notify(profile: &LinuxSeccomp) -> std::result::Result<(), &'static str> {
    if profile.default_action() == LinuxSeccompAction::ScmpActNotify {
        return Err("SCMP_ACT_NOTIFY cannot be the default action");
    }
    if !notifies(profile) {
        return match profile.listener_path() {
            Some(_) => Err("a listenerPath is of use with SCMP_ACT_NOTIFY only"),
            None => Ok(()),
        };
    }
    if profile.listener_path().is_none() {
        return Err("SCMP_ACT_NOTIFY takes a listenerPath");
    }
    let mut rules = profile.syscalls().iter().flatten();
    let is_write = |rule: &LinuxSyscall| {
        rule.action() == LinuxSeccompAction::ScmpActNotify
            && rule.names().iter().any(|name| name == "write")
    };
    if rules.any(is_write) {
        // The listener is announced by it.
        return Err("SCMP_ACT_NOTIFY cannot be used for write");
    }
    Ok(())
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

    fn read(json: &str) -> LinuxSeccomp {
        serde_json::from_str(json).unwrap()
    }

    fn why_not(json: &str) -> String {
        compile(&read(json)).unwrap_err().to_string()
    }

    #[test]
    fn whoever_is_notified_must_be_known_and_write_stays_free() {
        let rule =
            |name: &str| format!(r#"[{{"names": ["{name}"], "action": "SCMP_ACT_NOTIFY"}}]"#);
        let profile = |rule: &str, more: &str| {
            format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {rule}{more}}}"#)
        };
        let path = r#", "listenerPath": "/run/l.sock""#;
        assert!(why_not(&profile(&rule("mkdir"), "")).contains("takes a listenerPath"));
        assert!(why_not(&profile(&rule("write"), path)).contains("write"));
        assert!(why_not(&profile("[]", path)).contains("SCMP_ACT_NOTIFY only"));
        let good = read(&profile(&rule("mkdir"), path));
        compile(&good).unwrap();
        let listens = u32::try_from(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).unwrap();
        assert_eq!(flags(&good) & listens, listens);
        let refused = Compiler::default().compile(&good).unwrap_err().to_string();
        assert!(refused.contains("in pods"), "{refused}");
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused_and_not_cut_down() {
        let errno =
            |n: u32| format!(r#"{{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": {n}}}"#);
        assert!(why_not(&errno(65_536)).contains("no errno 65536"));
        compile(&read(&errno(38))).unwrap();
        let argument = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#;
        assert!(why_not(argument).contains("no argument 6"));
    }

    #[test]
    fn every_action_architecture_and_comparison_of_the_spec_compiles() {
        let actions = [
            "KILL",
            "KILL_THREAD",
            "KILL_PROCESS",
            "TRAP",
            "ERRNO",
            "TRACE",
            "LOG",
            "ALLOW",
        ];
        for action in actions {
            let profile = format!(
                r#"{{"defaultAction": "SCMP_ACT_{action}", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]}}"#
            );
            compile(&read(&profile)).unwrap();
        }
        for op in ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] {
            let profile = format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"names": ["mkdir", "no_such_call"], "action": "SCMP_ACT_ERRNO",
                "errnoRet": 5, "args": [{{"index": 1, "value": 511, "valueTwo": 3, "op": "SCMP_CMP_{op}"}}]}}]}}"#
            );
            assert!(compile(&read(&profile)).unwrap().len() > 16, "{op}");
        }
    }

    #[test]
    fn a_profile_without_flags_is_loaded_fast_and_one_with_none_has_none() {
        let with = |flags: &str| {
            super::flags(&read(&format!(
                r#"{{"defaultAction": "SCMP_ACT_ALLOW"{flags}}}"#
            )))
        };
        let all = r#", "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]"#;
        assert_eq!(
            [with(""), with(r#", "flags": []"#), with(all)],
            [4, 0, 2 | 32]
        );
    }
}
