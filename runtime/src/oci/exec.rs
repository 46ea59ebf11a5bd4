//! `exec`: one more process in a running container.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nix::unistd::Pid;
use oci_spec::runtime::{Capability, Process, Spec, User};

use super::console::{self, Console};
use super::context::Context;
use super::create::{died, executed, hand_on_activation, options};
use super::error::OrRefuse;
use super::flags::{Flag, Flags, switch, value};
use super::log::Log;
use super::place::read_bounded;
use super::start::refusal;
use super::status::{Found, PidFile, Status};
use super::wait::{Served, Signals};
use super::{Refusal, Result, capabilities, program};
use crate::init::create::{Addition, Init, Word, add};

pub const FLAGS: &[Flag] = &[
    value(
        &["console-socket"],
        "path",
        "the socket that takes the terminal's master end",
    ),
    value(&["cwd"], "dir", "the working directory"),
    value(&["env", "e"], "NAME=value", "set an environment variable"),
    switch(&["tty", "t"], "give it a terminal"),
    value(&["user", "u"], "uid[:gid]", "run as this user"),
    value(&["additional-gids", "g"], "gid", "a supplementary group"),
    value(&["process", "p"], "file", "the process, as in config.json"),
    switch(&["detach", "d"], "do not wait for its end"),
    value(&["pid-file"], "file", "where to write the process id"),
    value(&["process-label"], "label", "the SELinux label"),
    value(&["apparmor"], "profile", "the AppArmor profile"),
    switch(&["no-new-privs"], "it can never gain privileges"),
    value(&["cap", "c"], "CAP", "one more capability"),
    value(
        &["preserve-fds"],
        "n",
        "pass on n descriptors after the standard ones",
    ),
    value(
        &["cgroup"],
        "path",
        "a group below the container's to run in",
    ),
    switch(&["ignore-paused"], "even in a paused container"),
];

/// What the caller of `exec` takes for "it never ran".
const NOT_RUN: u8 = 255;

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    let done = program::make_unwritable().and_then(|()| exec(context, flags));
    done.map_err(|e| e.of("exec").with_code(NOT_RUN))
}

fn exec(context: &Context, flags: &Flags) -> Result<u8> {
    let found = Found::look(&context.root, flags.id())?;
    check(&found, flags)?;
    let spec = found.place.spec()?;
    let mut process = process(&spec, flags, &context.log)?;
    hand_on_activation(&mut process);
    let is_detached = flags.has("detach");
    let console = Console::of(&process, flags.value("console-socket"), is_detached)?;
    let signals = match is_detached {
        true => None,
        false => Some(Signals::hold_back()?),
    };
    let init = enter(&found, &spec, &process, &console, flags)?;
    let terminal = bring_up(&init, &console, &spec, &found, flags)?;
    let Some(signals) = signals else {
        init.keep();
        return Ok(0);
    };
    let served = Served {
        child: init.pid,
        pidfd: &init.pidfd,
        signals: &signals,
        listener: None,
    };
    served.until_end(terminal, &context.log)
}

fn check(found: &Found, flags: &Flags) -> Result<()> {
    let why = match found.status {
        Status::Stopped => "cannot exec in a stopped container",
        Status::Creating => "cannot exec in a container that is being created",
        Status::Paused if !flags.has("ignore-paused") => {
            "cannot exec in a paused container (use --ignore-paused to override)"
        }
        _ => return Ok(()),
    };
    Err(Refusal::Status(why.into()))
}

fn enter(
    found: &Found,
    spec: &Spec,
    process: &Process,
    console: &Console,
    flags: &Flags,
) -> Result<Init> {
    use std::os::fd::AsFd;
    let init = found.init()?;
    let pid = Pid::from_raw(init.pid);
    let gone = || Refusal::Status("cannot exec in a stopped container".into());
    let pidfd = sys::process::pidfd_open(pid).map_err(|_| gone())?;
    if !init.is_alive()? {
        return Err(gone());
    }
    let seccomp = spec.linux().as_ref().and_then(|l| l.seccomp().as_ref());
    let filter = seccomp.map(crate::seccomp::compile).transpose()?;
    let group = match flags.value("cgroup").filter(|c| !c.is_empty()) {
        None => found.group()?,
        Some(below) => found.group()?.below(Path::new(below))?,
    };
    let addition = Addition {
        spec,
        process,
        init: pidfd.as_fd(),
        init_pid: pid,
        group: &group,
        filter: filter.as_deref(),
        stdio: console.stdio(),
        options: options(flags)?,
    };
    add(addition).map_err(refusal)
}

/// Serves the process until its program runs; gives the terminal that is ours to serve.
fn bring_up(
    init: &Init,
    console: &Console,
    spec: &Spec,
    found: &Found,
    flags: &Flags,
) -> Result<Option<std::os::fd::OwnedFd>> {
    let mut terminal = None;
    loop {
        let word = init.next();
        match word.or_refuse(|| "hear of the new process".into())? {
            Word::Terminal(master) => terminal = console.take(master)?,
            Word::Notify(listener) => {
                console::send_listener(spec, &found.record, listener)?;
                init.go_on().or_refuse(|| "let the process go on".into())?;
            }
            Word::Mounted => {}
            Word::Created => break,
            Word::Failed(failure) => return Err(refusal(failure)),
            Word::Gone => return Err(died(init.pid)),
        }
    }
    let pid_file = PidFile::write(flags.value("pid-file"), init.pid)?;
    executed(init)?;
    pid_file.keep();
    Ok(terminal)
}

/// The process of `--process`, or the container's own with what the flags change.
fn process(spec: &Spec, flags: &Flags, log: &Log) -> Result<Process> {
    if let Some(path) = flags.value("process") {
        let text = read_bounded(Path::new(path))?;
        let read = capabilities::read(&text, "/capabilities");
        let (process, unknown) = read.or_refuse(|| format!("understand {path}"))?;
        log.leaves_out(&unknown);
        return checked(process);
    }
    let own = spec.process().clone();
    let mut process = own.ok_or_else(|| Refusal::failed("config.json", "it has no process"))?;
    process.set_args(Some(flags.args[1..].to_vec()));
    process.set_terminal(Some(flags.has("tty")));
    process.set_console_size(None);
    if let Some(cwd) = flags.value("cwd") {
        process.set_cwd(PathBuf::from(cwd));
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(flags.values("env").map(str::to_owned));
    process.set_env(Some(env));
    set_user(&mut process, flags)?;
    add_capabilities(&mut process, flags, log);
    if flags.has("no-new-privs") {
        process.set_no_new_privileges(Some(true));
    }
    if let Some(profile) = flags.value("apparmor") {
        process.set_apparmor_profile(Some(profile.to_owned()));
    }
    if let Some(label) = flags.value("process-label") {
        process.set_selinux_label(Some(label.to_owned()));
    }
    checked(process)
}

fn checked(process: Process) -> Result<Process> {
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(Refusal::Usage("process args cannot be empty".into()));
    }
    if !process.cwd().is_absolute() {
        return Err(Refusal::Usage("cwd must be an absolute path".into()));
    }
    Ok(process)
}

fn set_user(process: &mut Process, flags: &Flags) -> Result<()> {
    let mut user: User = process.user().clone();
    if let Some(wanted) = flags.value("user") {
        let (uid, gid) = match wanted.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (wanted, None),
        };
        user.set_uid(id(uid)?);
        if let Some(gid) = gid {
            user.set_gid(id(gid)?);
        }
    }
    let gids = flags.values("additional-gids").map(id);
    let gids = gids.collect::<Result<Vec<u32>>>()?;
    if !gids.is_empty() {
        let mut all = user.additional_gids().clone().unwrap_or_default();
        all.extend(gids);
        user.set_additional_gids(Some(all));
    }
    process.set_user(user);
    Ok(())
}

/// Digits and nothing else: what cannot be read is never taken for root (CVE-2026-30892).
fn id(word: &str) -> Result<u32> {
    let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let number = is_number.then(|| word.parse::<u32>().ok()).flatten();
    number
        .filter(|n| *n != u32::MAX)
        .ok_or_else(|| Refusal::Usage(format!("{word:?} is no user or group id")))
}

/// Never inheritable, and so never ambient (CVE-2022-27650).
fn add_capabilities(process: &mut Process, flags: &Flags, log: &Log) {
    let (mut wanted, mut unknown) = (HashSet::new(), Vec::new());
    for name in flags.values("cap") {
        let bare = name.strip_prefix("CAP_").unwrap_or(name);
        match Capability::from_str(bare) {
            Ok(capability) => drop(wanted.insert(capability)),
            // Less than was asked for, as in runc; a caller may know newer ones.
            Err(_) => unknown.push(name.to_owned()),
        }
    }
    log.leaves_out(&unknown);
    if wanted.is_empty() {
        return;
    }
    let own = process.capabilities().clone();
    let mut sets = own.unwrap_or_default();
    let with = |set: &Option<HashSet<Capability>>| {
        let mut set = set.clone().unwrap_or_default();
        set.extend(wanted.iter().copied());
        Some(set)
    };
    let (bounding, effective, permitted) = (
        with(sets.bounding()),
        with(sets.effective()),
        with(sets.permitted()),
    );
    sets.set_bounding(bounding)
        .set_effective(effective)
        .set_permitted(permitted);
    process.set_capabilities(Some(sets));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::flags::Order;

    fn of(args: &[&str]) -> Result<Process> {
        let args = args.iter().map(|&a| a.to_owned()).collect();
        let flags = Flags::parse(FLAGS, args, Order::BeforeArguments)?;
        process(&Spec::default(), &flags, &Log::stderr())
    }

    #[test]
    fn flags_change_the_containers_own_process() {
        let process = of(&[
            "--user", "1000:50", "-g", "7", "-e", "A=b", "--cwd", "/tmp", "id", "ls", "-l",
        ]);
        let process = process.unwrap();
        assert_eq!(process.args().as_deref().unwrap(), ["ls", "-l"]);
        let user = process.user();
        assert_eq!((user.uid(), user.gid()), (1000, 50));
        assert_eq!(user.additional_gids().as_deref(), Some(&[7][..]));
        assert!(process.env().as_ref().unwrap().contains(&"A=b".to_owned()));
    }

    #[test]
    fn what_is_no_number_is_never_root() {
        for user in [
            "",
            "root",
            "-1",
            "4294967295",
            "4294967296",
            "0x0",
            "1000:",
            ":0",
            " 0",
        ] {
            assert!(of(&["--user", user, "id", "true"]).is_err(), "{user:?}");
        }
    }

    #[test]
    fn one_more_capability_is_not_inheritable() {
        let process = of(&["--cap", "CAP_SYS_PTRACE", "id", "true"]).unwrap();
        let sets = process.capabilities().clone().unwrap();
        let has = |set: &Option<HashSet<Capability>>| {
            set.as_ref()
                .is_some_and(|s| s.contains(&Capability::SysPtrace))
        };
        assert!(has(sets.bounding()) && has(sets.permitted()) && has(sets.effective()));
        assert!(!has(sets.inheritable()) && !has(sets.ambient()));
    }
}
