//! The caller's end of a console socket, and of other sockets that bring a descriptor.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const LIMIT: Duration = Duration::from_secs(30);

pub struct Socket {
    pub path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    pub fn bind(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).expect("bind a socket");
        Self { path, listener }
    }

    pub fn text(&self) -> &str {
        self.path.to_str().expect("names of tests are text")
    }

    /// What came with the first message, and its descriptors.
    #[track_caller]
    pub fn receive(&self) -> (Vec<u8>, Vec<OwnedFd>) {
        wait_for(&self.listener);
        let (stream, _) = self.listener.accept().expect("a caller is there");
        wait_for(&stream);
        let mut room = vec![0; 65536];
        let (read, fds) = sys::socket::receive(stream.as_fd(), &mut room, 16).expect("receive");
        room.truncate(read);
        (room, fds)
    }

    #[track_caller]
    pub fn terminal(&self) -> Terminal {
        let (_, fds) = self.receive();
        let fd = fds
            .into_iter()
            .next()
            .expect("a console comes as a descriptor");
        Terminal(File::from(fd))
    }
}

/// The master's end of a container's terminal.
pub struct Terminal(pub File);

impl Terminal {
    pub fn write(&mut self, text: &str) {
        self.0
            .write_all(text.as_bytes())
            .expect("write to a terminal");
    }

    /// Reads until `part` has been seen or the other end is closed.
    #[track_caller]
    pub fn read_until(&mut self, part: &str) -> String {
        let end = Instant::now() + LIMIT;
        let mut seen = String::new();
        let mut room = [0; 4096];
        while !seen.contains(part) {
            assert!(
                Instant::now() < end,
                "waited in vain for {part:?}; saw {seen:?}"
            );
            wait_for(&self.0);
            match self.0.read(&mut room) {
                Ok(0) | Err(_) => break,
                Ok(read) => seen.push_str(&String::from_utf8_lossy(&room[..read])),
            }
        }
        assert!(
            seen.contains(part),
            "the terminal was closed before {part:?}: {seen:?}"
        );
        seen
    }
}

#[track_caller]
fn wait_for(source: &impl AsFd) {
    let mut fds = [PollFd::new(source.as_fd(), PollFlags::POLLIN)];
    let limit = PollTimeout::try_from(LIMIT).expect("seconds fit");
    let ready = poll(&mut fds, limit).expect("poll");
    assert!(
        ready > 0,
        "waited {LIMIT:?} in vain for a descriptor to be readable"
    );
}
