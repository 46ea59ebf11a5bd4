//! The kernel's `/proc`: what may cover it, and a handle that nobody else can change.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use sys::mount::{Attributes, Filesystem};
use sys::path::{Links, open_in_root};

use super::{Fault, OrFault};

/// The files that other programs (lxcfs) give containers of their own; runc's list.
const MAY_BE_COVERED: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// The inode of a procfs' root.
const ROOT: u64 = 1;

/// Refuses a mount on the kernel's `/proc` that would show something else in its place (CVE-2019-16884).
pub fn check_target(path: &Path, at: BorrowedFd<'_>, tree: BorrowedFd<'_>) -> Result<(), Fault> {
    let what = || "look at the mount point".to_owned();
    let is_proc = |fd: BorrowedFd<'_>| -> Result<bool, Fault> {
        let kind = fstatfs(fd).or_fault(what)?.filesystem_type();
        Ok(kind == PROC_SUPER_MAGIC)
    };
    if !is_proc(at)? || MAY_BE_COVERED.iter().any(|p| path == Path::new(p)) {
        return Ok(());
    }
    let is_root = fstat(at).or_fault(what)?.st_ino == ROOT;
    if is_root && is_proc(tree)? {
        return Ok(());
    }
    Err(Fault::Create(format!(
        "{} cannot be mounted because it is inside /proc",
        path.display()
    )))
}

/// A procfs of the calling process's pid namespace, mounted nowhere: whatever the
/// container's own `/proc` shows, this is the kernel's (CVE-2019-19921, CVE-2025-52881).
#[derive(Debug)]
pub(crate) struct Procfs(OwnedFd);

impl Procfs {
    pub fn open() -> io::Result<Self> {
        let closed = Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
        Filesystem::open("proc")?.mount(closed).map(Self)
    }

    /// Writes the whole of a file at once, as the kernel's files want it.
    pub fn write(&self, path: &Path, value: &[u8]) -> io::Result<()> {
        let file = open_in_root(
            self.0.as_fd(),
            path,
            OFlag::O_WRONLY,
            Mode::empty(),
            Links::InRoot,
        )?;
        if fstatfs(&file)?.filesystem_type() != PROC_SUPER_MAGIC {
            return Err(io::Error::other("it is not on the kernel's procfs"));
        }
        let mut file = File::from(file);
        let written = file.write(value)?;
        if written != value.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }
}
