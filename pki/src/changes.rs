//! Files that are replaced while they are in use: configurations, keys, logs.

use std::io;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

/// Tells, by inotify(7), when something in a file's directory changes. Its
/// descriptor reads like a pipe of events; what they say does not matter.
pub struct Changes(pipe::Receiver);

impl Changes {
    /// Of every write, for who reads along.
    ///
    /// # Errors
    /// The directory cannot be watched.
    pub fn of_content(path: &Path) -> io::Result<Self> {
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE;
        Self::watch(path, flags)
    }

    /// Of files that were written to their end, or put in the place of others.
    ///
    /// # Errors
    /// The directory cannot be watched.
    pub fn of_whole_files(path: &Path) -> io::Result<Self> {
        Self::watch(
            path,
            AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO,
        )
    }

    fn watch(path: &Path, flags: AddWatchFlags) -> io::Result<Self> {
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        inotify.add_watch(dir, flags)?;
        Ok(Self(pipe::Receiver::from_owned_fd_unchecked(
            inotify.into(),
        )?))
    }

    /// Waits for the next.
    ///
    /// # Errors
    /// The events cannot be read.
    pub async fn next(&mut self) -> io::Result<()> {
        // The kernel gives whole events, of at most 16 bytes and a file name.
        let mut events = [0; 8 << 10];
        self.0.read(&mut events).await.map(drop)
    }
}
