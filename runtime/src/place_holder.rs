//! A process that does nothing but be there, until we drop it or end ourselves;
//! and the end of a process of ours.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
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
        end(self.pid, &self.pidfd);
    }
}

/// Kills a child of ours and waits for its end; it may have ended, and been reaped.
pub fn end(pid: Pid, pidfd: &OwnedFd) {
    match sys::process::pidfd_send(pidfd.as_fd(), libc::SIGKILL) {
        Err(e) if e.raw_os_error() != Some(libc::ESRCH) => {
            // It is not reaped, and so its number is its own. Not to kill it would be to wait forever.
            let _ = kill(pid, Signal::SIGKILL);
        }
        _ => {}
    }
    let _ = waitpid(pid, None);
}
