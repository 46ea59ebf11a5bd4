//! Running the hooks of the OCI spec.
//!
//! A hook is given the container's state on its standard input, and the time it
//! asks for. It inherits nothing but that: no descriptor, no environment.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use oci_spec::runtime::{Hook, State};

/// How much of a failed hook's output is quoted.
const MAX_QUOTED: u64 = 4 << 10;

/// Runs the hooks one after the other; the first that fails ends it.
///
/// # Errors
/// What failed, with the end of its output, as a sentence.
pub(crate) fn run_all(hooks: Option<&[Hook]>, kind: &str, state: &State) -> Result<(), String> {
    let hooks = hooks.unwrap_or_default();
    if hooks.is_empty() {
        return Ok(());
    }
    let state = serde_json::to_vec(state).map_err(|e| format!("write the state down: {e}"))?;
    for (number, hook) in hooks.iter().enumerate() {
        run(hook, &state).map_err(|why| {
            format!(
                "error running {kind} hook #{number} {:?}: {why}",
                hook.path()
            )
        })?;
    }
    Ok(())
}

fn run(hook: &Hook, state: &[u8]) -> Result<(), String> {
    let timeout = timeout(hook)?;
    let mut output = memory(&[]).map_err(|e| e.to_string())?;
    let mut child = spawn(hook, state, &output).map_err(|e| e.to_string())?;
    let status = wait(&mut child, timeout)?;
    if status.success() {
        return Ok(());
    }
    let why = match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or(-1)),
    };
    let mut said = Vec::new();
    // What cannot be read is not quoted.
    let _ = output.rewind();
    let _ = output.take(MAX_QUOTED).read_to_end(&mut said);
    let said = String::from_utf8_lossy(&said);
    Err(format!("{why}, stdout and stderr: {}", said.trim_end()))
}

fn timeout(hook: &Hook) -> Result<PollTimeout, String> {
    let Some(seconds) = hook.timeout() else {
        return Ok(PollTimeout::NONE);
    };
    let millis = i32::try_from(seconds)
        .ok()
        .filter(|s| *s > 0)
        .and_then(|s| s.checked_mul(1000));
    millis
        .and_then(|ms| PollTimeout::try_from(ms).ok())
        .ok_or_else(|| format!("a timeout of {seconds} s: wanted 1 to 2147483"))
}

/// A file in memory: neither end of it is ever waited for.
fn memory(content: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(memfd_create(c"hook", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

fn spawn(hook: &Hook, state: &[u8], output: &File) -> std::io::Result<Child> {
    let mut command = Command::new(hook.path());
    let args = hook.args().as_deref().unwrap_or_default();
    if let Some((name, args)) = args.split_first() {
        command.arg0(name).args(args);
    }
    let env = hook.env().as_deref().unwrap_or_default();
    command
        .env_clear()
        .envs(env.iter().filter_map(|e| e.split_once('=')))
        .stdin(memory(state)?)
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(output.try_clone()?))
        .process_group(0);
    command.spawn()
}

fn wait(child: &mut Child, timeout: PollTimeout) -> Result<ExitStatus, String> {
    let pid = Pid::from_raw(child.id().cast_signed());
    let why =
        match has_ended(pid, timeout).and_then(|ended| ended.then(|| child.wait()).transpose()) {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => "its timeout is over, it was killed".into(),
            Err(e) => format!("wait for it: {e}"),
        };
    // It and what it has started; it may be ending by itself.
    let _ = killpg(pid, Signal::SIGKILL);
    let _ = child.wait();
    Err(why)
}

fn has_ended(pid: Pid, timeout: PollTimeout) -> std::io::Result<bool> {
    let pidfd = sys::process::pidfd_open(pid)?;
    let mut ended = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut ended, timeout) {
            Err(Errno::EINTR) => {}
            polled => return Ok(polled? > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(json: &str) -> Hook {
        serde_json::from_str(json).unwrap()
    }

    fn told(json: &str) -> Result<(), String> {
        let mut state = State::default();
        state.set_id("the-container".into());
        run_all(Some(&[hook(json)]), "poststart", &state)
    }

    #[test]
    fn a_hook_reads_the_state_and_has_only_its_own_environment() {
        let script = r#"{"path": "/bin/sh", "args": ["sh", "-c", "grep -q the-container && test \"$A\" = b && test -z \"$HOME\""], "env": ["A=b"]}"#;
        told(script).unwrap();
    }

    #[test]
    fn a_failed_hook_is_quoted() {
        let why = told(r#"{"path": "/bin/sh", "args": ["sh", "-c", "echo so >&2; exit 3"]}"#);
        let why = why.unwrap_err();
        assert!(
            why.contains("poststart hook #0") && why.contains("exit status 3"),
            "{why}"
        );
        assert!(why.ends_with("so"), "{why}");
    }

    #[test]
    fn a_hook_that_takes_too_long_is_killed_with_what_it_started() {
        let why = told(
            r#"{"path": "/bin/sh", "args": ["sh", "-c", "sleep 100 & sleep 100"], "timeout": 1}"#,
        );
        assert!(why.unwrap_err().contains("timeout"));
    }

    #[test]
    fn a_timeout_is_more_than_nothing() {
        let why = told(r#"{"path": "/bin/true", "timeout": 0}"#).unwrap_err();
        assert!(why.contains("timeout of 0 s"), "{why}");
    }
}
