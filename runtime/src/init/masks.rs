//! Paths of `/proc` and `/sys` that containers may not read, or not write.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs};
use oci_spec::runtime::Spec;
use sys::mount::{Attributes, Change, Reach, attach, change, clone_tree};
use sys::path::{Links, open_in_root};

use super::{Fault, OrFault};

pub fn apply(root: BorrowedFd<'_>, spec: &Spec, null: Option<&OwnedFd>) -> Result<(), Fault> {
    let Some(linux) = spec.linux() else {
        return Ok(());
    };
    for path in linux.readonly_paths().iter().flatten() {
        make_read_only(root, Path::new(path)).or_fault(|| format!("make {path} read-only"))?;
    }
    for path in linux.masked_paths().iter().flatten() {
        mask(root, Path::new(path), null).or_fault(|| format!("mask {path}"))?;
    }
    Ok(())
}

fn make_read_only(root: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let Some(place) = open(root, path)? else {
        return Ok(());
    };
    let tree = clone_tree(place.as_fd(), Path::new(""), Reach::Recursive)?;
    let read_only = Change {
        set: Attributes::READ_ONLY,
        ..Change::default()
    };
    change(tree.as_fd(), read_only, Reach::Recursive)?;
    attach(tree.as_fd(), place.as_fd())
}

/// Hides a directory under an empty one, a file under the container's `/dev/null`.
fn mask(root: BorrowedFd<'_>, path: &Path, null: Option<&OwnedFd>) -> io::Result<()> {
    let Some(place) = open(root, path)? else {
        return Ok(());
    };
    let kind = SFlag::from_bits_truncate(fstat(&place)?.st_mode) & SFlag::S_IFMT;
    let cover = if kind == SFlag::S_IFDIR {
        sys::mount::tmpfs(&[], Attributes::READ_ONLY)?
    } else {
        let null = null.ok_or_else(|| io::Error::other("the container has no /dev/null"))?;
        clone_tree(null.as_fd(), Path::new(""), Reach::This)?
    };
    attach(cover.as_fd(), place.as_fd())
}

/// The path, where the kernel has it; below /proc and /sys it must be the kernel's own.
fn open(root: BorrowedFd<'_>, path: &Path) -> io::Result<Option<OwnedFd>> {
    let place = match open_in_root(root, path, OFlag::O_PATH, Mode::empty(), Links::InRoot) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
            return Ok(None);
        }
        found => found?,
    };
    let expected = match path {
        p if p.starts_with("/proc") => PROC_SUPER_MAGIC,
        p if p.starts_with("/sys") => SYSFS_MAGIC,
        _ => return Ok(Some(place)),
    };
    if fstatfs(&place)?.filesystem_type() == expected {
        return Ok(Some(place));
    }
    Err(io::Error::other(
        "it is not on the kernel's own file system",
    ))
}
