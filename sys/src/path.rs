//! Paths that cannot leave the directory they are resolved beneath (openat2(2)).

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

/// How symbolic links on the way are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Followed, as if `root` were `/`.
    InRoot,
    /// Refused.
    Refused,
}

/// Opens `path` as it is seen with `root` as `/`; never follows a magic link.
pub fn open_in_root(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlag,
    mode: Mode,
    links: Links,
) -> io::Result<OwnedFd> {
    let links = match links {
        Links::InRoot => ResolveFlag::empty(),
        Links::Refused => ResolveFlag::RESOLVE_NO_SYMLINKS,
    };
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | links;
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(resolve);
    // EAGAIN: a rename elsewhere raced with the walk; openat2(2) says to try again.
    for _ in 0..32 {
        match openat2(root, path, how) {
            Err(nix::errno::Errno::EAGAIN) => {}
            result => return Ok(result?),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Opens the file `name` of the directory `dir` for reading, following no link.
pub fn open_below(dir: BorrowedFd<'_>, name: &Path) -> io::Result<OwnedFd> {
    open_in_root(dir, name, OFlag::O_RDONLY, Mode::empty(), Links::Refused)
}
