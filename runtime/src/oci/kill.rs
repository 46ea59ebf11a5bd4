//! `kill`: sends a signal to a container's first process, or to all of them.

use std::os::fd::AsFd;
use std::str::FromStr;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::context::Context;
use super::error::OrRefuse;
use super::flags::{Flag, Flags, switch};
use super::place::Process;
use super::status::{Found, Status};
use super::{Refusal, Result};

pub const FLAGS: &[Flag] = &[switch(
    &["all", "a"],
    "send the signal to every process of the container",
)];

pub fn command(context: &Context, flags: &Flags) -> Result<u8> {
    let signal = number(flags.args.get(1).map_or("SIGTERM", String::as_str))?;
    let found = Found::look(&context.root, flags.id())?;
    if flags.has("all") {
        return kill_all(&found, signal).map(|()| 0);
    }
    let init = found.init()?;
    send(init, signal)?;
    if signal == libc::SIGKILL && found.status == Status::Paused {
        // On v1 a frozen process does not even die.
        found.group()?.freeze(false)?;
    }
    Ok(0)
}

/// Sends the signal to every process in the container's group.
fn kill_all(found: &Found, signal: i32) -> Result<()> {
    let group = found.group()?;
    if signal == libc::SIGKILL {
        group.kill_all()?;
    } else {
        for pid in group.processes()? {
            // It may have ended by itself.
            let _ = send_raw(pid, signal);
        }
    }
    if found.status == Status::Paused {
        group.freeze(false)?;
    }
    Ok(())
}

/// Sends a signal to this process and to no later one of its number.
pub fn send(process: Process, signal: i32) -> Result<()> {
    let pid = Pid::from_raw(process.pid);
    let gone = || Refusal::Status("container not running".into());
    let pidfd = sys::process::pidfd_open(pid).map_err(|_| gone())?;
    if !process.is_alive()? {
        return Err(gone());
    }
    match sys::process::pidfd_send(pidfd.as_fd(), signal) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Err(gone()),
        sent => sent.or_refuse(|| format!("send signal {signal} to process {pid}")),
    }
}

fn send_raw(pid: Pid, signal: i32) -> std::io::Result<()> {
    let pidfd = sys::process::pidfd_open(pid)?;
    sys::process::pidfd_send(pidfd.as_fd(), signal)
}

/// `9`, `KILL`, `SIGKILL`, `RTMIN+3`.
fn number(word: &str) -> Result<i32> {
    let unknown = || Refusal::Usage(format!("unknown signal {word:?}"));
    if let Ok(number) = word.parse::<i32>() {
        let is_one = (0..=libc::SIGRTMAX()).contains(&number);
        return is_one.then_some(number).ok_or_else(unknown);
    }
    let upper = word.to_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = [("RTMIN", libc::SIGRTMIN()), ("RTMAX", libc::SIGRTMAX())];
    for (name, base) in real_time {
        let Some(rest) = bare.strip_prefix(name) else {
            continue;
        };
        let offset = if rest.is_empty() {
            Ok(0)
        } else {
            rest.parse::<i32>()
        };
        let number = base + offset.map_err(|_| unknown())?;
        let is_one = (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number);
        return is_one.then_some(number).ok_or_else(unknown);
    }
    let signal = Signal::from_str(&format!("SIG{bare}"));
    signal.map(|s| s as i32).map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_names_with_and_without_sig_and_numbers() {
        for word in ["9", "KILL", "SIGKILL", "sigkill"] {
            assert_eq!(number(word).unwrap(), 9, "{word}");
        }
        assert_eq!(number("0").unwrap(), 0);
        assert_eq!(number("RTMIN+3").unwrap(), libc::SIGRTMIN() + 3);
        assert_eq!(number("SIGRTMAX-1").unwrap(), libc::SIGRTMAX() - 1);
        for word in ["", "SIG", "FOO", "-1", "65", "RTMIN+99", "RTMAX+1"] {
            assert!(number(word).is_err(), "{word}");
        }
    }
}
