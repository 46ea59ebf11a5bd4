//! One connection of an agent.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::protocol::{MAX_FDS, MAX_FRAME, Reply, Request};

/// More than this unsent, and the agent is taken to be stuck: it must connect again.
const MAX_UNSENT: usize = 4 << 20;

pub struct Connection {
    stream: UnixStream,
    received: Vec<u8>,
    fds: Vec<OwnedFd>,
    unsent: VecDeque<u8>,
}

/// What came in.
pub enum Incoming {
    Request(Box<Request>, Vec<OwnedFd>),
    /// Nothing whole yet.
    Nothing,
    /// The other side is gone, or talks nonsense.
    Closed,
}

impl Connection {
    /// # Errors
    /// Refuses everyone but our own user.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        if getsockopt(&stream, PeerCredentials)?.uid() != nix::unistd::geteuid().as_raw() {
            return Err(ErrorKind::PermissionDenied.into());
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
            fds: Vec::new(),
            unsent: VecDeque::new(),
        })
    }

    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The next request that is whole.
    pub fn receive(&mut self) -> Incoming {
        loop {
            match self.next_frame() {
                Some(incoming) => return incoming,
                None => match self.read_more() {
                    Ok(0) => return Incoming::Closed,
                    Ok(_) => {}
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Incoming::Nothing,
                    Err(_) => return Incoming::Closed,
                },
            }
        }
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut room = [0; 4096];
        let (n, fds) = sys::socket::receive(self.stream.as_fd(), &mut room, MAX_FDS)?;
        self.received.extend_from_slice(&room[..n]);
        self.fds.extend(fds);
        self.fds.truncate(MAX_FDS);
        Ok(n)
    }

    fn next_frame(&mut self) -> Option<Incoming> {
        let length = u32::from_le_bytes(*self.received.first_chunk::<4>()?) as usize;
        if length > MAX_FRAME {
            return Some(Incoming::Closed);
        }
        let body = self.received.get(4..4 + length)?;
        let request = serde_json::from_slice(body);
        self.received.drain(..4 + length);
        let fds = std::mem::take(&mut self.fds);
        Some(request.map_or(Incoming::Closed, |request| {
            Incoming::Request(Box::new(request), fds)
        }))
    }

    /// Sends what can be sent now and keeps the rest. A descriptor goes only with an empty queue.
    ///
    /// # Errors
    /// The other side is gone, or does not read.
    pub fn send(&mut self, reply: &Reply, fd: Option<&OwnedFd>) -> io::Result<()> {
        let body = serde_json::to_vec(reply)?;
        let length = u32::try_from(body.len()).map_err(|_| ErrorKind::InvalidData)?;
        self.unsent.extend(length.to_le_bytes());
        self.unsent.extend(body);
        if let Some(fd) = fd {
            let frame = self.unsent.make_contiguous();
            let sent = sys::socket::send(self.stream.as_fd(), frame, &[fd.as_fd()])?;
            self.unsent.drain(..sent);
        }
        self.flush()
    }

    pub fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let (first, _) = self.unsent.as_slices();
            match self.stream.write(first) {
                Ok(n) => drop(self.unsent.drain(..n)),
                Err(e) if e.kind() == ErrorKind::WouldBlock && self.unsent.len() <= MAX_UNSENT => {
                    break;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
