//! The node's process 1: starts skiff, starts it again when it falls, and reaps
//! what is left to it (pods' monitors among them). Its end is the node's.

use std::ffi::CString;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, execve};
use sys::process::Cloned;

use super::{Go, PROGRAM};
use crate::error::{Result, kernel};
use nix::sched::CloneFlags;

/// Between the end of a skiff that nobody stopped and the next.
const PAUSE: Duration = Duration::from_secs(1);

pub fn run(go: &Go) -> Result<i32> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        signals.add(signal);
    }
    // Blocked ones wait, also for a process 1, until they are asked for.
    signals.thread_block().map_err(kernel("block signals"))?;
    let mut skiff = Some(start(go)?);
    let mut is_stopping = false;
    loop {
        let signal = signals.wait().map_err(kernel("wait for a signal"))?;
        if signal != Signal::SIGCHLD {
            is_stopping = true;
            if let Some(pid) = skiff {
                let _ = kill(pid, Signal::SIGTERM);
            }
        }
        if reap(skiff) {
            skiff = None;
        }
        match (skiff, is_stopping) {
            (Some(_), _) => {}
            (None, true) => return Ok(0),
            (None, false) => {
                eprintln!("skiff ended; it is started again");
                std::thread::sleep(PAUSE);
                skiff = Some(start(go)?);
            }
        }
    }
}

/// Collects all that have ended; says whether `skiff` was among them.
fn reap(skiff: Option<Pid>) -> bool {
    let mut has_ended = false;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Ok(status) if status.pid().is_some() => has_ended |= status.pid() == skiff,
            _ => return has_ended,
        }
    }
}

fn start(go: &Go) -> Result<Pid> {
    let cloned = sys::process::clone(CloneFlags::empty(), None).map_err(kernel("start skiff"))?;
    match cloned {
        Cloned::Parent { pid, .. } => Ok(pid),
        Cloned::Child => {
            let _ = sys::process::reset_signals();
            let (args, env) = (arguments(go), environment(go));
            let path = CString::new(PROGRAM).expect("the path has no NUL");
            let Err(error) = execve(&path, &args, &env);
            eprintln!("run {PROGRAM}: {error}");
            sys::process::exit_now(127);
        }
    }
}

fn arguments(go: &Go) -> Vec<CString> {
    let words = go.args.iter().map(String::as_str);
    strings(std::iter::once("skiff").chain(words).map(str::to_owned))
}

fn environment(go: &Go) -> Vec<CString> {
    let given = go.env.iter().map(|(name, value)| format!("{name}={value}"));
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    strings(
        [path, "HOME=/root"]
            .map(str::to_owned)
            .into_iter()
            .chain(given),
    )
}

/// What holds a NUL can be neither argument nor variable.
fn strings(texts: impl Iterator<Item = String>) -> Vec<CString> {
    texts.filter_map(|text| CString::new(text).ok()).collect()
}
