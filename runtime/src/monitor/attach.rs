//! Input for containers, from whoever is attached.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use super::Monitor;
use super::poller::{Interest, Poller, Source, Stream, Token};
use crate::protocol::{Failure, Streams};
use crate::{ContainerId, Stdin};

/// A container's standard input.
pub struct StdinPipe {
    sink: OwnedFd,
    /// While input waits for room.
    token: Option<Token>,
    pending: Vec<u8>,
    clients: Vec<Client>,
    is_once: bool,
}

struct Client {
    source: OwnedFd,
    /// None while earlier input waits for room.
    token: Option<Token>,
}

impl StdinPipe {
    /// `sink` does not block.
    pub fn new(sink: OwnedFd, kind: Stdin) -> Self {
        Self {
            sink,
            token: None,
            pending: Vec::new(),
            clients: Vec::new(),
            is_once: kind == Stdin::Once,
        }
    }

    /// Waits for clients while there is room, and for room while there is none.
    fn watch(&mut self, poller: &mut Poller, id: &ContainerId) {
        let is_full = !self.pending.is_empty();
        for client in &mut self.clients {
            match client.token {
                None if !is_full => {
                    client.token = poller
                        .add(client.source.as_fd(), Source::Input(id.clone()))
                        .ok();
                }
                Some(token) if is_full => {
                    poller.remove(client.source.as_fd(), token);
                    client.token = None;
                }
                _ => {}
            }
        }
        match self.token {
            None if is_full => {
                let source = Source::Stdin(id.clone());
                self.token = poller
                    .add_for(self.sink.as_fd(), source, Interest::Write)
                    .ok();
            }
            Some(token) if !is_full => {
                poller.remove(self.sink.as_fd(), token);
                self.token = None;
            }
            _ => {}
        }
    }

    /// Takes what a client sent; says whether the container may still get more.
    fn read(&mut self, poller: &mut Poller, token: Token, scratch: &mut [u8]) -> bool {
        let Some(index) = self.clients.iter().position(|c| c.token == Some(token)) else {
            return true;
        };
        match nix::unistd::read(&self.clients[index].source, scratch) {
            Err(Errno::EAGAIN | Errno::EINTR) => true,
            Ok(0) | Err(_) => {
                let client = self.clients.swap_remove(index);
                poller.remove(client.source.as_fd(), token);
                !self.is_once
            }
            Ok(n) => {
                self.pending.extend_from_slice(&scratch[..n]);
                self.flush()
            }
        }
    }

    /// Says whether the container still reads.
    fn flush(&mut self) -> bool {
        while !self.pending.is_empty() {
            match nix::unistd::write(&self.sink, &self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(Errno::EAGAIN) => break,
                Err(_) => return false,
            }
        }
        true
    }

    pub fn close(self, poller: &mut Poller) {
        for client in &self.clients {
            client
                .token
                .into_iter()
                .for_each(|t| poller.remove(client.source.as_fd(), t));
        }
        self.token
            .into_iter()
            .for_each(|t| poller.remove(self.sink.as_fd(), t));
    }
}

impl Monitor {
    pub(super) fn attach(
        &mut self,
        id: &ContainerId,
        streams: Streams,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Failure> {
        let Self {
            containers, poller, ..
        } = self;
        let container = containers.get_mut(id).ok_or(Failure::NotFound)?;
        if container.exit.is_some() {
            return Err(Failure::NotRunning);
        }
        let refused = |e: io::Error| Failure::Refused(format!("attach: {e}"));
        let mut fds = fds.into_iter();
        let mut next = || {
            fds.next()
                .ok_or_else(|| refused(io::ErrorKind::InvalidInput.into()))
        };
        if streams.stdin {
            let source = next()?;
            if let Some(stdin) = &mut container.stdin {
                set_nonblocking(&source).map_err(refused)?;
                stdin.clients.push(Client {
                    source,
                    token: None,
                });
                stdin.watch(poller, id);
            }
        }
        for (is_wanted, stream) in [
            (streams.stdout, Stream::Stdout),
            (streams.stderr, Stream::Stderr),
        ] {
            if is_wanted {
                let sink = next()?;
                set_nonblocking(&sink).map_err(refused)?;
                container
                    .output(stream)
                    .attach(poller, id, stream, sink)
                    .map_err(refused)?;
            }
        }
        Ok(())
    }

    /// A client sent input for a container.
    pub(super) fn feed_stdin(&mut self, id: &ContainerId, token: Token) {
        let Self {
            containers,
            poller,
            scratch,
            ..
        } = self;
        let Some(container) = containers.get_mut(id) else {
            return;
        };
        let Some(mut stdin) = container.stdin.take() else {
            return;
        };
        if stdin.read(poller, token, scratch) {
            stdin.watch(poller, id);
            container.stdin = Some(stdin);
        } else if stdin.pending.is_empty() {
            stdin.close(poller);
        } else {
            // Its last words first.
            stdin.watch(poller, id);
            container.stdin = Some(stdin);
        }
    }

    /// A container can take more input.
    pub(super) fn drain_stdin(&mut self, id: &ContainerId) {
        let Self {
            containers, poller, ..
        } = self;
        let Some(container) = containers.get_mut(id) else {
            return;
        };
        let Some(mut stdin) = container.stdin.take() else {
            return;
        };
        let is_over = stdin.is_once && stdin.clients.is_empty();
        if !stdin.flush() || (is_over && stdin.pending.is_empty()) {
            stdin.close(poller);
            return;
        }
        stdin.watch(poller, id);
        container.stdin = Some(stdin);
    }
}

pub fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
