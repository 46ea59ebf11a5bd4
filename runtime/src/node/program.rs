//! The program monitors run: a read-only view of the binary.
//!
//! A container may get at the file its creator runs from (CVE-2019-5736), so
//! that file must not be writable from there. An overlay without an upper layer
//! is read-only for good and shares the page cache with the real file; where
//! the kernel refuses that, a sealed copy in memory does.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};

use crate::config::MonitorProgram;
use crate::{Error, Result};

/// An open program that nobody can write to.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    _file: OwnedFd,
}

impl Program {
    /// `empty` is a directory with nothing in it.
    pub fn open(monitor: &MonitorProgram, empty: &Path) -> Result<Self> {
        let failed = |source| Error::Path {
            what: "open the monitor program",
            path: monitor.exe.clone(),
            source,
        };
        let file = through_overlay(&monitor.exe, empty)
            .or_else(|_| sealed_copy(&monitor.exe))
            .map_err(failed)?;
        // The child looks it up before its own copy of the descriptor is closed.
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Ok(Self { path, _file: file })
    }

    /// Good for `execve` in a child of this process.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn through_overlay(exe: &Path, empty: &Path) -> io::Result<OwnedFd> {
    // Fails where the file was replaced under a running skiff: then it is copied.
    let exe = exe.canonicalize()?;
    let no_parent = || io::Error::from(io::ErrorKind::InvalidInput);
    let (dir, name) = (
        exe.parent().ok_or_else(no_parent)?,
        exe.file_name().ok_or_else(no_parent)?,
    );
    let overlay = sys::mount::Filesystem::open("overlay")?;
    // An overlay wants two layers. By descriptor: a path may hold a colon, or be long.
    let (dir, empty) = (File::open(dir)?, File::open(empty)?);
    let layers = format!(
        "/proc/self/fd/{}:/proc/self/fd/{}",
        dir.as_raw_fd(),
        empty.as_raw_fd()
    );
    overlay.set("lowerdir", layers.as_bytes())?;
    let mount =
        overlay.mount(sys::mount::Attributes::READ_ONLY | sys::mount::Attributes::NO_SUID)?;
    sys::path::open_below(mount.as_fd(), Path::new(name))
}

pub(crate) fn sealed_copy(exe: &Path) -> io::Result<OwnedFd> {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let copy = memfd_create(
        c"skiff",
        MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING,
    )?;
    let mut writer = File::from(copy.try_clone()?);
    io::copy(&mut File::open(exe)?, &mut writer)?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    // A descriptor open for writing would make execve say ETXTBSY.
    File::open(format!("/proc/self/fd/{}", copy.as_raw_fd())).map(OwnedFd::from)
}
