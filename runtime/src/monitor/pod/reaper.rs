//! Pid 1 of a shared pid namespace: reaps orphans and does nothing else.
//!
//! Containers see it, so there is nothing to be had from it: no descriptors, no
//! capabilities, an empty root directory.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use caps::CapSet;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use sys::mount::Attributes;
use sys::process::Cloned;

pub fn start() -> io::Result<OwnedFd> {
    let (told, tell) = sys::pipe()?;
    match sys::process::clone(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS, None)? {
        Cloned::Child => {
            let _ = std::panic::catch_unwind(|| run(&tell));
            sys::process::exit_now(1)
        }
        Cloned::Parent { pidfd, .. } => {
            drop(tell);
            let mut word = [0; 1];
            match nix::unistd::read(&told, &mut word)? {
                0 => Err(io::Error::other("its first process ended at once")),
                _ => Ok(pidfd),
            }
        }
    }
}

fn run(tell: &OwnedFd) {
    if confine(tell).is_err() || nix::unistd::write(tell, b"1").is_err() {
        return;
    }
    if sys::process::close_all_but(0, &[]).is_err() {
        return;
    }
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    loop {
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
        // Blocked since the monitor's start, so none is missed between the two.
        let _ = children.wait();
    }
}

fn confine(tell: &OwnedFd) -> io::Result<()> {
    sys::process::close_all_but(0, &[tell.as_fd()])?;
    let null = std::fs::File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    drop(null);
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    nix::sys::prctl::set_name(c"skiff-reaper")?;
    nix::unistd::setsid()?;
    sys::mount::isolate()?;
    // Any directory will do to mount on, in this mount namespace.
    let root = sys::mount::tmpfs(&[("mode", "555")], Attributes::READ_ONLY)?;
    let place = std::fs::File::open("/proc")?;
    sys::mount::attach(root.as_fd(), place.as_fd())?;
    drop(place);
    sys::mount::pivot(&root)?;
    drop(root);
    for cap in caps::all() {
        // One the kernel does not know cannot be dropped, nor had.
        let _ = caps::drop(None, CapSet::Bounding, cap);
    }
    [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable]
        .into_iter()
        .try_for_each(|set| caps::clear(None, set))
        .map_err(io::Error::other)
}
