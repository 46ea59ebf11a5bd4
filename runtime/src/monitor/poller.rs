//! What the monitor waits for.

use std::collections::HashMap;
use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::ContainerId;

/// One thing waited for; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

/// A standard stream that a container writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// What it means when a descriptor is ready.
#[derive(Debug, Clone)]
pub enum Source {
    /// Somebody connects.
    Listener,
    /// A child ended.
    Children,
    /// A request came, or an answer can go on.
    Connection,
    /// A new process executed its program, or could not.
    Starting,
    /// A container printed.
    Output(ContainerId, Stream),
    /// Somebody attached can take more of a container's output, or is gone.
    Reader(ContainerId, Stream),
    /// Somebody attached sent input.
    Input(ContainerId),
    /// The container can take more input.
    Stdin(ContainerId),
}

/// Whether to wait for a descriptor to have something, or to take something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Read,
    Write,
    /// Only for the other side to be gone.
    Hangup,
}

impl Interest {
    fn flags(self) -> EpollFlags {
        match self {
            Self::Read => EpollFlags::EPOLLIN,
            Self::Write => EpollFlags::EPOLLOUT,
            Self::Hangup => EpollFlags::empty(),
        }
    }
}

pub struct Poller {
    epoll: Epoll,
    sources: HashMap<Token, Source>,
    next: u64,
}

/// How many events one wait brings at most.
const BATCH: usize = 16;

impl Poller {
    pub fn open() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            epoll,
            sources: HashMap::new(),
            next: 0,
        })
    }

    /// Waits for `fd` to be readable.
    pub fn add(&mut self, fd: BorrowedFd<'_>, source: Source) -> io::Result<Token> {
        self.add_for(fd, source, Interest::Read)
    }

    pub fn add_for(
        &mut self,
        fd: BorrowedFd<'_>,
        source: Source,
        interest: Interest,
    ) -> io::Result<Token> {
        let token = Token(self.next);
        self.epoll
            .add(fd, EpollEvent::new(interest.flags(), token.0))?;
        self.next += 1;
        self.sources.insert(token, source);
        Ok(token)
    }

    pub fn change(&self, fd: BorrowedFd<'_>, token: Token, interest: Interest) -> io::Result<()> {
        Ok(self
            .epoll
            .modify(fd, &mut EpollEvent::new(interest.flags(), token.0))?)
    }

    /// To be called before the descriptor is closed: a child may still hold a copy.
    pub fn remove(&mut self, fd: BorrowedFd<'_>, token: Token) {
        if self.sources.remove(&token).is_some() {
            // It is open and was added, so this cannot fail.
            let _ = self.epoll.delete(fd);
        }
    }

    /// Waits until something is ready.
    pub fn wait(&self) -> io::Result<Vec<(Token, Source)>> {
        let mut events = [EpollEvent::empty(); BATCH];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(Errno::EINTR) => 0,
            count => count?,
        };
        let tokens = events[..count].iter().map(|e| Token(e.data()));
        Ok(tokens
            .filter_map(|t| Some((t, self.sources.get(&t)?.clone())))
            .collect())
    }

    /// Whether `token` is still waited for: an earlier event of a batch may have ended it.
    pub fn has(&self, token: Token) -> bool {
        self.sources.contains_key(&token)
    }
}
