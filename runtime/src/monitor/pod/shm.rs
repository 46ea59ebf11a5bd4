//! The pod's `/dev/shm`: one tmpfs that every container of the pod mounts.
//!
//! It is mounted nowhere on the host. Since Linux 6.15 a mount that is attached
//! nowhere can be copied, and a descriptor is all it takes; before, it has to be
//! attached somewhere, and that is a mount namespace with nobody in it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sched::{CloneFlags, setns};
use nix::sys::wait::waitpid;
use sys::mount::{Attributes, Reach, attach, clone_tree};
use sys::process::Cloned;

#[derive(Debug)]
pub(crate) enum Shm {
    Detached(OwnedFd),
    /// Attached at `place` in `namespace` only.
    Held {
        namespace: File,
        place: PathBuf,
    },
}

impl Shm {
    /// `place` is a directory to attach to, should that be needed.
    pub fn new(place: &Path) -> io::Result<Self> {
        let closed = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
        let tmpfs = sys::mount::tmpfs(&[("mode", "1777"), ("size", "65536k")], closed)?;
        match clone_tree(tmpfs.as_fd(), Path::new(""), Reach::This) {
            Ok(_) => Ok(Self::Detached(tmpfs)),
            Err(_) => Self::hold(&tmpfs, place),
        }
    }

    fn hold(tmpfs: &OwnedFd, place: &Path) -> io::Result<Self> {
        let (told, tell) = sys::pipe()?;
        match sys::process::clone(CloneFlags::CLONE_NEWNS, None)? {
            Cloned::Child => {
                let _ = std::panic::catch_unwind(|| {
                    let attached = sys::mount::isolate()
                        .and_then(|()| File::open(place))
                        .and_then(|place| attach(tmpfs.as_fd(), place.as_fd()));
                    if attached.is_ok() && nix::unistd::write(&tell, b"1").is_ok() {
                        // Until killed: the namespace is to be opened while there is somebody in it.
                        nix::unistd::pause();
                    }
                });
                sys::process::exit_now(1)
            }
            Cloned::Parent { pid, pidfd } => {
                drop(tell);
                let namespace = match nix::unistd::read(&told, &mut [0; 1]) {
                    Ok(1) => File::open(format!("/proc/{pid}/ns/mnt")),
                    _ => Err(io::Error::other("a place for it could not be made")),
                };
                sys::process::pidfd_send(pidfd.as_fd(), libc::SIGKILL)?;
                let _ = waitpid(pid, None);
                Ok(Self::Held {
                    namespace: namespace?,
                    place: place.to_owned(),
                })
            }
        }
    }

    /// A copy to attach in the calling process's own mount namespace.
    pub fn copy(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Detached(tmpfs) => clone_tree(tmpfs.as_fd(), Path::new(""), Reach::This),
            Self::Held { namespace, place } => {
                let own = File::open("/proc/self/ns/mnt")?;
                setns(namespace, CloneFlags::CLONE_NEWNS)?;
                let copy = clone_tree(AT_FDCWD, place, Reach::This);
                setns(own, CloneFlags::CLONE_NEWNS)?;
                copy
            }
        }
    }
}
