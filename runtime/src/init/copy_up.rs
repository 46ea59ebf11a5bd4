//! Filling a tmpfs with what the image has at its place (`tmpcopyup`).
//!
//! The image is not trusted: every step is relative to a directory that is open,
//! no link is followed and nothing but a regular file is ever opened to read.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag, readlinkat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmod, fchmodat, fstatat, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, fchown, fchownat, symlinkat};
use sys::path::{Links, open_in_root};

/// Deeper trees are refused: each level holds two descriptors.
const MAX_DEPTH: usize = 100;

/// Copies what is in the directory `from` into the directory `to`.
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    copy_entries(from, to, 0)
}

fn copy_entries(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other("the directory is nested too deeply"));
    }
    let readable = open(from, Path::new("."), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
    let mut dir = Dir::from_fd(readable)?;
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) || entry.file_type() == Some(Type::Socket) {
            continue;
        }
        let name = Path::new(std::ffi::OsStr::new(
            name.to_str().map_err(io::Error::other)?,
        ));
        copy_one(from, to, name, depth)?;
    }
    Ok(())
}

fn copy_one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &Path, depth: usize) -> io::Result<()> {
    let meta = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let kind = SFlag::from_bits_truncate(meta.st_mode) & SFlag::S_IFMT;
    let mode = Mode::from_bits_truncate(meta.st_mode);
    let (uid, gid) = (Uid::from_raw(meta.st_uid), Gid::from_raw(meta.st_gid));
    if kind == SFlag::S_IFREG {
        let source = open(from, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let made = open_in_root(
            to,
            name,
            flags,
            Mode::S_IRUSR | Mode::S_IWUSR,
            Links::Refused,
        )?;
        io::copy(&mut File::from(source), &mut File::from(made.try_clone()?))?;
        fchown(&made, Some(uid), Some(gid))?;
        return Ok(fchmod(&made, mode)?);
    }
    if kind == SFlag::S_IFDIR {
        mkdirat(to, name, Mode::S_IRWXU)?;
        let place = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let (source, made) = (open(from, name, place)?, open(to, name, place)?);
        copy_entries(source.as_fd(), made.as_fd(), depth + 1)?;
    } else if kind == SFlag::S_IFLNK {
        symlinkat(readlinkat(from, name)?.as_os_str(), to, name)?;
    } else {
        mknodat(to, name, kind, mode, meta.st_rdev)?;
    }
    fchownat(to, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if kind != SFlag::S_IFLNK {
        // Nobody but us reaches the tmpfs yet: the name is still what was made above.
        fchmodat(to, name, mode, FchmodatFlags::FollowSymlink)?;
    }
    Ok(())
}

fn open(dir: BorrowedFd<'_>, name: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    open_in_root(dir, name, flags, Mode::empty(), Links::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn files_links_and_modes_are_copied_and_no_link_is_followed() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::create_dir(from.path().join("sub")).unwrap();
        std::fs::write(from.path().join("sub/file"), "text").unwrap();
        let mode = std::fs::Permissions::from_mode(0o751);
        std::fs::set_permissions(from.path().join("sub"), mode).unwrap();
        symlink(secret.path(), from.path().join("link")).unwrap();
        nix::unistd::mkfifo(&from.path().join("fifo"), Mode::S_IRUSR).unwrap();
        let open = |path: &Path| File::open(path).unwrap();
        copy(open(from.path()).as_fd(), open(to.path()).as_fd()).unwrap();
        assert_eq!(std::fs::read(to.path().join("sub/file")).unwrap(), b"text");
        let made = std::fs::metadata(to.path().join("sub")).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o751);
        let link = std::fs::read_link(to.path().join("link")).unwrap();
        assert_eq!(link, secret.path());
        assert!(to.path().join("fifo").exists());
    }
}
