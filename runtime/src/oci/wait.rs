//! Staying with a process of ours until it ends: its signals, its terminal.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Result;
use super::console::copy_size;
use super::error::OrRefuse;
use super::log::Log;
use super::notify::Listener;

/// Signals that are held back from now on, to be passed on.
///
/// To be made before the process that they are passed on to, so that none is missed.
pub struct Signals(SignalFd);

impl Signals {
    pub fn hold_back() -> Result<Self> {
        let mut set = SigSet::all();
        for ours in [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGILL,
            Signal::SIGFPE,
            Signal::SIGABRT,
        ] {
            set.remove(ours);
        }
        let what = || "hold signals back".to_owned();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None).or_refuse(what)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        SignalFd::with_flags(&set, flags).map(Self).or_refuse(what)
    }
}

/// A process of ours, and what it gets from us while it runs.
pub struct Served<'a> {
    pub child: Pid,
    pub pidfd: &'a OwnedFd,
    pub signals: &'a Signals,
    /// Where it says that it is ready.
    pub listener: Option<Listener>,
}

impl Served<'_> {
    /// Waits for its end; gives its exit code, 128+n after signal n.
    pub fn until_end(mut self, master: Option<OwnedFd>, log: &Log) -> Result<u8> {
        let what = || "serve the terminal".to_owned();
        let terminal = master.map(Terminal::open).transpose();
        let mut terminal = terminal.or_refuse(what)?;
        loop {
            if let Some(code) = self.take_signals(terminal.as_mut())? {
                return Ok(code);
            }
            self.pass_readiness_on(log);
            let mut fds = vec![self.signals.0.as_fd()];
            fds.extend(self.listener.as_ref().map(Listener::as_fd));
            match terminal.as_mut() {
                None => sleep(&fds)?,
                Some(terminal) => terminal.pump(&fds).or_refuse(what)?,
            }
        }
    }

    /// Gives its exit code when it has ended.
    fn take_signals(&self, mut terminal: Option<&mut Terminal>) -> Result<Option<u8>> {
        while let Ok(Some(info)) = self.signals.0.read_signal() {
            let signal = info.ssi_signo.cast_signed();
            match (signal, terminal.as_deref_mut()) {
                (libc::SIGCHLD, terminal) => {
                    let what = || format!("wait for {}", self.child);
                    if let Some(code) = reap(self.child).or_refuse(what)? {
                        if let Some(terminal) = terminal {
                            let what = || "serve the terminal".into();
                            terminal.drain().or_refuse(what)?;
                        }
                        return Ok(Some(code));
                    }
                }
                (libc::SIGWINCH, Some(terminal)) => terminal.resize(),
                // Go's programs and we ourselves use it for nothing the container knows of.
                (libc::SIGURG | libc::SIGWINCH, _) => {}
                _ => {
                    // It may have ended by itself.
                    let _ = sys::process::pidfd_send(self.pidfd.as_fd(), signal);
                }
            }
        }
        Ok(None)
    }

    /// We stay, so that it is still us who is to be watched.
    fn pass_readiness_on(&mut self, log: &Log) {
        let Some(listener) = &self.listener else {
            return;
        };
        if let Some(ready) = listener.ready() {
            log.warns_of(listener.tell(&ready, None));
            self.listener = None;
        }
    }
}

fn sleep(fds: &[BorrowedFd<'_>]) -> Result<()> {
    match poll(&mut readable(fds), PollTimeout::NONE) {
        Err(Errno::EINTR) | Ok(_) => Ok(()),
        Err(e) => Err(e).or_refuse(|| "wait".into()),
    }
}

fn readable<'a>(fds: &[BorrowedFd<'a>]) -> Vec<PollFd<'a>> {
    let readable = |fd: &BorrowedFd<'a>| PollFd::new(*fd, PollFlags::POLLIN);
    fds.iter().map(readable).collect()
}

/// Reaps whoever has ended; gives the code of `child` if it was among them.
fn reap(child: Pid) -> nix::Result<Option<u8>> {
    let code = |code: i32| Some(u8::try_from(code & 0xff).unwrap_or(u8::MAX));
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => return Ok(code(status)),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(code(128 + signal as i32));
            }
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Err(Errno::EINTR) | Ok(_) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Our terminal, made raw, on the container's.
struct Terminal {
    master: File,
    /// What was read from us and does not fit into the container's yet.
    input: Vec<u8>,
    is_input_open: bool,
    is_output_open: bool,
    before: Option<Termios>,
}

impl Terminal {
    fn open(master: OwnedFd) -> io::Result<Self> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        }
        let terminal = Self {
            master: master.into(),
            input: Vec::new(),
            is_input_open: true,
            is_output_open: true,
            before,
        };
        terminal.resize();
        Ok(terminal)
    }

    fn resize(&self) {
        // Where we have no terminal ourselves the container's keeps its size.
        let _ = copy_size(io::stdin(), &self.master);
    }

    /// Waits until there is something to do here or at `others`, and does what is here.
    fn pump(&mut self, others: &[BorrowedFd<'_>]) -> io::Result<()> {
        let (stdin, master) = (io::stdin(), &self.master);
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::POLLIN, self.is_output_open);
        wanted.set(PollFlags::POLLOUT, !self.input.is_empty());
        let mut fds = readable(others);
        let has_master = self.is_output_open;
        if has_master {
            fds.push(PollFd::new(master.as_fd(), wanted));
        }
        let has_stdin = self.is_input_open && self.input.is_empty();
        if has_stdin {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok(()),
            polled => polled.map(drop)?,
        }
        let seen = |i: usize| fds.get(i).is_some_and(|fd| fd.any().unwrap_or(true));
        let (is_master, is_stdin) = (
            has_master && seen(others.len()),
            has_stdin && seen(others.len() + usize::from(has_master)),
        );
        if is_stdin {
            self.read_input();
        }
        if is_master {
            self.write_input();
            self.read_output()?;
        }
        Ok(())
    }

    fn read_input(&mut self) {
        let mut room = [0; 4096];
        match io::stdin().read(&mut room) {
            Ok(0) | Err(_) => self.is_input_open = false,
            Ok(n) => self.input.extend_from_slice(&room[..n]),
        }
        self.write_input();
    }

    fn write_input(&mut self) {
        if self.input.is_empty() {
            return;
        }
        match self.master.write(&self.input) {
            Ok(n) => drop(self.input.drain(..n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            // Nobody is there to read it.
            Err(_) => self.input.clear(),
        }
    }

    /// Says whether there may be more.
    fn read_output(&mut self) -> io::Result<bool> {
        let mut room = [0; 16 << 10];
        match self.master.read(&mut room) {
            Ok(n) if n > 0 => show(&room[..n]).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(true),
            // The last one that had it open is gone.
            Err(e) if e.raw_os_error() != Some(libc::EIO) => Err(e),
            _ => {
                self.is_output_open = false;
                Ok(false)
            }
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        while self.is_output_open && self.read_output()? {}
        Ok(())
    }
}

fn show(output: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(output).and_then(|()| out.flush()) {
        // Whoever closed it does not want to read it.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nobody is left to be told.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
