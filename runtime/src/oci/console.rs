//! Terminals and descriptors that go to somebody else by a socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use oci_spec::runtime::{ContainerState, Process, Spec};
use serde::Serialize;

use super::error::OrRefuse;
use super::place::Record;
use super::{Refusal, Result, hooks};
use crate::init::Stdio;

/// What becomes of a process's terminal, if it has one.
#[derive(Debug)]
pub enum Console {
    /// No terminal: the process has our own streams.
    None,
    /// Its master end goes to whoever listens there.
    Socket { to: String, size: Option<Size> },
    /// We serve it.
    Here { size: Option<Size> },
}

#[derive(Debug, Clone, Copy)]
pub struct Size {
    width: u16,
    height: u16,
}

impl Console {
    /// # Errors
    /// [`Refusal::Usage`] where the flags and the process do not fit together.
    pub fn of(process: &Process, socket: Option<&str>, is_detached: bool) -> Result<Self> {
        let socket = socket.filter(|s| !s.is_empty());
        let usage = |why: &str| Err(Refusal::Usage(why.into()));
        let number = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
        let size = process.console_size().map(|size| Size {
            width: number(size.width()),
            height: number(size.height()),
        });
        match (process.terminal().unwrap_or(false), socket) {
            (true, Some(to)) if is_detached => Ok(Self::Socket {
                to: to.to_owned(),
                size,
            }),
            (true, None) if is_detached => {
                usage("cannot allocate tty if runc will detach without setting console socket")
            }
            (true, None) => Ok(Self::Here { size }),
            (_, Some(_)) => {
                usage("cannot use console socket if runc will not detach or allocate tty")
            }
            (false, None) => Ok(Self::None),
        }
    }

    pub fn stdio(&self) -> Stdio {
        match self {
            Self::None => Stdio::Inherited,
            Self::Socket { .. } | Self::Here { .. } => Stdio::Tty,
        }
    }

    /// Does with the master end what is to be done; gives it back where it is ours to serve.
    pub fn take(&self, master: OwnedFd) -> Result<Option<OwnedFd>> {
        let (Self::Socket { size, .. } | Self::Here { size }) = self else {
            return Ok(None);
        };
        if let Some(size) = size {
            // A terminal without a size is a terminal still.
            let _ = sys::tty::resize(master.as_fd(), size.width, size.height);
        }
        match self {
            Self::Socket { to, .. } => {
                send(to, b"/dev/ptmx", &master)
                    .or_refuse(|| format!("send the terminal to {to}"))?;
                Ok(None)
            }
            _ => Ok(Some(master)),
        }
    }
}

fn send(socket: &str, words: &[u8], fd: &OwnedFd) -> io::Result<()> {
    let socket = UnixStream::connect(socket)?;
    let mut sent = sys::socket::send(socket.as_fd(), words, &[fd.as_fd()])?;
    while sent < words.len() {
        sent += sys::socket::send(socket.as_fd(), &words[sent..], &[])?;
    }
    Ok(())
}

/// What the listener of a seccomp filter is told (the spec's ContainerProcessState).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    fds: [&'static str; 1],
    pid: i32,
    metadata: &'a str,
    state: oci_spec::runtime::State,
}

/// Gives the descriptor that a filter asks by to the agent the spec names.
pub fn send_listener(spec: &Spec, record: &Record, listener: OwnedFd) -> Result<()> {
    let seccomp = spec.linux().as_ref().and_then(|l| l.seccomp().as_ref());
    let path = seccomp.and_then(|s| s.listener_path().as_deref());
    let path = path.and_then(|p| p.to_str()).ok_or_else(|| {
        Refusal::Start("seccomp: a filter that notifies needs a listenerPath".into())
    })?;
    let metadata = seccomp.and_then(|s| s.listener_metadata().as_deref());
    let told = ProcessState {
        oci_version: super::SPEC_VERSION,
        fds: ["seccompFd"],
        pid: record.process.map_or(0, |p| p.pid),
        metadata: metadata.unwrap_or_default(),
        state: hooks::state(record, ContainerState::Creating),
    };
    let told = serde_json::to_vec(&told).expect("a state has only string keys");
    send(path, &told, &listener).or_refuse(|| format!("send the seccomp listener to {path}"))
}

/// Descriptors to be passed on must be there, or something of ours would be taken for them.
pub fn check_open(count: u32) -> Result<()> {
    let missing = (3..3u32.saturating_add(count))
        .find(|fd| !std::path::Path::new(&format!("/proc/self/fd/{fd}")).exists());
    match missing {
        None => Ok(()),
        Some(fd) => Err(Refusal::Usage(format!(
            "--preserve-fds: descriptor {fd} is not open"
        ))),
    }
}

/// Gives a terminal the size of another.
pub fn copy_size(from: impl AsFd, to: impl AsFd) -> io::Result<()> {
    let (width, height) = sys::tty::size(from.as_fd())?;
    sys::tty::resize(to.as_fd(), width, height)
}
