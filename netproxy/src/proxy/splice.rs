//! Bulk data from socket to socket through a pipe, without copying it out of
//! the kernel: splice(2).

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What is asked of one call: as much as the pipe holds.
const PIPE: usize = 1 << 20;

/// Pipes kept by a thread for the next burst.
const KEPT: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// Why splicing stopped.
pub enum Stop {
    /// The sender's stream has ended.
    End,
    /// Nothing more to read for now.
    Quiet,
}

impl Stop {
    pub fn is_end(&self) -> bool {
        matches!(self, Self::End)
    }
}

struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    fn take() -> io::Result<Self> {
        if let Some(pipe) = POOL.with_borrow_mut(Vec::pop) {
            return Ok(pipe);
        }
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let size = i32::try_from(PIPE).expect("a MiB fits an i32");
        // Refused beyond the user's share of pipe memory: then it stays small.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(size));
        Ok(Self { read, write })
    }

    /// Only an empty pipe may be kept: another connection's bytes would
    /// follow what is in it.
    fn give_back(self) {
        POOL.with_borrow_mut(|pool| {
            if pool.len() < KEPT {
                pool.push(self);
            }
        });
    }
}

/// Moves until the sender falls quiet or ends, without waiting for it: an idle
/// connection holds no pipe.
pub async fn while_busy(from: &TcpStream, to: &TcpStream) -> io::Result<Stop> {
    let pipe = Pipe::take()?;
    let stop = loop {
        let filled = from.try_io(Interest::READABLE, || fill(&pipe, from));
        match filled {
            Ok(0) => break Stop::End,
            Ok(filled) => drain(&pipe, to, filled).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Stop::Quiet,
            Err(error) => return Err(error),
        }
    };
    pipe.give_back();
    Ok(stop)
}

fn fill(pipe: &Pipe, from: &TcpStream) -> io::Result<usize> {
    retried(|| splice(from, None, &pipe.write, None, PIPE, flags()))
}

async fn drain(pipe: &Pipe, to: &TcpStream, mut filled: usize) -> io::Result<()> {
    while filled > 0 {
        let call = || retried(|| splice(&pipe.read, None, to, None, filled, flags()));
        match to.async_io(Interest::WRITABLE, call).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            moved => filled -= moved,
        }
    }
    Ok(())
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

fn retried(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}
