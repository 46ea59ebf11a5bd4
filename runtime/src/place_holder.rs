//! A process that does nothing but be there, until we drop it or end ourselves.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid, getppid};
use sys::process::Cloned;

/// Holds a place in a group, or a namespace open, while nobody else is in it.
#[derive(Debug)]
pub struct PlaceHolder {
    pub pid: Pid,
    pidfd: OwnedFd,
}

impl PlaceHolder {
    /// Forks one into new namespaces. The caller must have one thread.
    pub fn fork(namespaces: CloneFlags) -> io::Result<Self> {
        let parent = getpid();
        match sys::process::clone(namespaces, None)? {
            Cloned::Child => {
                let is_tied = prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
                // The parent may have ended before that.
                if is_tied && getppid() == parent {
                    nix::unistd::pause();
                }
                sys::process::exit_now(0)
            }
            Cloned::Parent { pid, pidfd } => Ok(Self { pid, pidfd }),
        }
    }
}

impl Drop for PlaceHolder {
    fn drop(&mut self) {
        // It may have been killed with its group.
        let _ = sys::process::pidfd_send(self.pidfd.as_fd(), libc::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}
