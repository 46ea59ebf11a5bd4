//! Between `create` and `start`: the container's process waits for a word.
//!
//! Two fifos in the container's state directory. The process reads `go`, which
//! only `start` writes to; it says what became of it through `told`, whose end
//! is the exec. Reading and writing is all it takes, for a seccomp filter is
//! loaded by then.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;

use super::{Fault, READY};
use crate::protocol::Failure;

pub(crate) const GO: &str = "go";
pub(crate) const TOLD: &str = "told";

/// More than any error of ours takes.
const MAX_TOLD: u64 = 64 << 10;

/// The waiting side.
#[derive(Debug)]
pub(crate) struct Pause {
    go: File,
    told: File,
}

impl Pause {
    /// Makes the fifos in a directory that only root can reach.
    pub fn make(dir: &Path) -> io::Result<Self> {
        let make = |name| {
            let path = dir.join(name);
            nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
            // For both ways: neither the open nor a read's end waits on who else has it.
            File::options().read(true).write(true).open(path)
        };
        Ok(Self {
            go: make(GO)?,
            told: make(TOLD)?,
        })
    }

    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.go.as_fd(), self.told.as_fd()]
    }

    /// In the container's process: waits for [`start`].
    pub fn wait(&self) -> Result<(), Fault> {
        let mut word = [0; 1];
        let heard = (&self.go).read_exact(&mut word);
        heard.map_err(|e| Fault::Create(format!("wait for the start: {e}")))
    }

    /// The exec comes next.
    pub fn ready(&self) {
        // Without it the start is taken for failed, which is all that can be done about it.
        let _ = (&self.told).write_all(READY);
    }

    pub fn failed(&self, failure: &[u8]) {
        // Nobody else can be told.
        let _ = (&self.told).write_all(failure);
    }
}

/// Has a created container execute its program, and waits until it has.
///
/// # Errors
/// [`Failure::NotRunning`] where nobody waits: it is gone, or was started already.
/// [`Failure::Refused`] where it waits still; all others are of its program.
pub(crate) fn start(dir: &Path) -> Result<(), Failure> {
    let refused = |e: io::Error| Failure::Refused(format!("start the container: {e}"));
    let open = |name: &str, is_read: bool| {
        let mut options = File::options();
        options.read(is_read).write(!is_read);
        options.custom_flags(libc::O_NONBLOCK);
        options.open(dir.join(name))
    };
    let told = open(TOLD, true).map_err(refused)?;
    let mut go = open(GO, false).map_err(|e| match e.raw_os_error() {
        // fifo(7): nobody has it open to read.
        Some(libc::ENXIO) => Failure::NotRunning,
        _ => refused(e),
    })?;
    fcntl(&told, FcntlArg::F_SETFL(OFlag::empty())).map_err(|e: Errno| refused(e.into()))?;
    go.write_all(b"1").map_err(refused)?;
    drop(go);
    let mut words = Vec::new();
    let heard = told.take(MAX_TOLD).read_to_end(&mut words);
    heard.map_err(|e| Failure::Create(format!("hear of the container's start: {e}")))?;
    match words.strip_prefix(READY) {
        Some([]) => Ok(()),
        rest => Err(
            serde_json::from_slice(rest.unwrap_or(&words)).unwrap_or_else(|_| {
                Failure::Create("its process ended while it was being started".into())
            }),
        ),
    }
}

/// Whether a container's process waits for [`start`].
pub(crate) fn is_waited_for(dir: &Path) -> io::Result<bool> {
    let mut options = File::options();
    options.write(true).custom_flags(libc::O_NONBLOCK);
    match options.open(dir.join(GO)) {
        Ok(_) => Ok(true),
        // fifo(7): nobody has it open to read. Or it was run, and never waited.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENXIO | libc::ENOENT)) => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_waits_for_the_exec_and_hears_of_its_failure() {
        let dir = tempfile::tempdir().unwrap();
        let pause = Pause::make(dir.path()).unwrap();
        let path = dir.path().to_owned();
        let starter = std::thread::spawn(move || start(&path));
        pause.wait().unwrap();
        pause.ready();
        let failure = serde_json::to_vec(&Failure::Exec("exec: no".into())).unwrap();
        pause.failed(&failure);
        drop(pause);
        let told = starter.join().unwrap();
        assert!(matches!(told, Err(Failure::Exec(why)) if why == "exec: no"));
    }

    #[test]
    fn nobody_is_started_twice() {
        let dir = tempfile::tempdir().unwrap();
        drop(Pause::make(dir.path()).unwrap());
        assert!(matches!(start(dir.path()), Err(Failure::NotRunning)));
    }
}
