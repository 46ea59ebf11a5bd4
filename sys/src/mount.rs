//! Mounts by descriptor: fsopen(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr;

use crate::{c_string, check, check_fd};

const OPEN_TREE_CLONE: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// Attributes of a mount (not of a file system).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    pub const READ_ONLY: Self = Self(0x1);
    pub const NO_SUID: Self = Self(0x2);
    pub const NO_DEV: Self = Self(0x4);
    pub const NO_EXEC: Self = Self(0x8);
    pub const NO_ATIME: Self = Self(0x10);
    pub const STRICT_ATIME: Self = Self(0x20);
    /// All the ways of keeping access times: to be cleared before one is set.
    pub const ATIME: Self = Self(0x70);
    pub const NO_DIR_ATIME: Self = Self(0x80);
    pub const NO_SYMLINKS: Self = Self(0x20_0000);
    const MAPPED_IDS: Self = Self(0x10_0000);

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for Attributes {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for Attributes {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Which mounts an operation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The mount itself.
    This,
    /// And everything mounted below it.
    Recursive,
}

impl Reach {
    fn flag(self) -> libc::c_uint {
        match self {
            Self::This => 0,
            Self::Recursive => libc::AT_RECURSIVE as libc::c_uint,
        }
    }
}

/// Where mounts made later on either side show up (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Private,
    Slave,
    Shared,
    /// Private, and not to be bound elsewhere.
    Unbindable,
}

/// A file system being set up.
#[derive(Debug)]
pub struct Filesystem(OwnedFd);

impl Filesystem {
    pub fn open(kind: &str) -> io::Result<Self> {
        let kind = c_string(kind.as_bytes())?;
        // SAFETY: `kind` is a C string that outlives the call.
        let fd = unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1 as libc::c_uint) };
        check_fd(fd).map(Self)
    }

    pub fn set(&self, key: &str, value: &[u8]) -> io::Result<()> {
        self.configure(FSCONFIG_SET_STRING, Some(key), Some(value))
    }

    pub fn set_flag(&self, key: &str) -> io::Result<()> {
        self.configure(FSCONFIG_SET_FLAG, Some(key), None)
    }

    /// Makes the file system, mounted nowhere yet.
    pub fn mount(self, attributes: Attributes) -> io::Result<OwnedFd> {
        self.configure(FSCONFIG_CMD_CREATE, None, None)?;
        let attributes =
            libc::c_uint::try_from(attributes.0).map_err(|_| io::ErrorKind::InvalidInput)?;
        let fd = self.0.as_raw_fd();
        // SAFETY: three plain numbers; `fd` is open, for `self` owns it.
        check_fd(unsafe { libc::syscall(libc::SYS_fsmount, fd, 1 as libc::c_uint, attributes) })
    }

    fn configure(
        &self,
        command: libc::c_uint,
        key: Option<&str>,
        value: Option<&[u8]>,
    ) -> io::Result<()> {
        let key = key.map(|k| c_string(k.as_bytes())).transpose()?;
        let value = value.map(c_string).transpose()?;
        let pointer =
            |s: &Option<std::ffi::CString>| s.as_ref().map_or(ptr::null(), |s| s.as_ptr());
        let fd = self.0.as_raw_fd();
        // SAFETY: both strings, where there are any, outlive the call.
        let done = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                fd,
                command,
                pointer(&key),
                pointer(&value),
                0 as libc::c_int,
            )
        };
        check(done).map(drop)
    }
}

/// A copy of the mount at `path`, or of `dir` itself where `path` is empty; attached nowhere.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &Path, reach: Reach) -> io::Result<OwnedFd> {
    let path = c_string(path.as_os_str().as_encoded_bytes())?;
    let flags = OPEN_TREE_CLONE
        | libc::O_CLOEXEC as libc::c_uint
        | libc::AT_EMPTY_PATH as libc::c_uint
        | reach.flag();
    let dir = dir.as_raw_fd();
    // SAFETY: `path` is a C string that outlives the call, `dir` a borrowed descriptor.
    check_fd(unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags) })
}

/// Attaches `tree` at exactly the file or directory that `target` is open on.
pub fn attach(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    const FROM_EMPTY: libc::c_uint = 0x4;
    const TO_EMPTY: libc::c_uint = 0x40;
    let (tree, target, empty) = (tree.as_raw_fd(), target.as_raw_fd(), c"".as_ptr());
    // SAFETY: both paths are the static empty C string.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree,
            empty,
            target,
            empty,
            FROM_EMPTY | TO_EMPTY,
        )
    };
    check(done).map(drop)
}

/// A change of a mount's attributes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    pub set: Attributes,
    pub clear: Attributes,
    pub propagation: Option<Propagation>,
}

pub fn change(mount: BorrowedFd<'_>, change: Change, reach: Reach) -> io::Result<()> {
    let propagation = match change.propagation {
        None => 0,
        Some(Propagation::Private) => libc::MS_PRIVATE,
        Some(Propagation::Slave) => libc::MS_SLAVE,
        Some(Propagation::Shared) => libc::MS_SHARED,
        Some(Propagation::Unbindable) => libc::MS_UNBINDABLE,
    };
    let attributes = libc::mount_attr {
        attr_set: change.set.0,
        attr_clr: change.clear.0,
        propagation,
        userns_fd: 0,
    };
    set_attributes(mount, &attributes, reach)
}

/// Shows the files of a mount that is attached nowhere as if they belonged to others.
pub fn map_ids(mount: BorrowedFd<'_>, users: BorrowedFd<'_>, reach: Reach) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: Attributes::MAPPED_IDS.0,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::from(users.as_raw_fd().cast_unsigned()),
    };
    set_attributes(mount, &attributes, reach)
}

fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: &libc::mount_attr,
    reach: Reach,
) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH as libc::c_uint | reach.flag();
    let (fd, empty, size) = (
        mount.as_raw_fd(),
        c"".as_ptr(),
        size_of::<libc::mount_attr>(),
    );
    // SAFETY: `attributes` lives through the call and `size` is its size.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd,
            empty,
            flags,
            std::ptr::from_ref(attributes),
            size,
        )
    };
    check(done).map(drop)
}

/// Makes the calling process's whole mount namespace receive mounts and send none.
pub fn isolate() -> io::Result<()> {
    use nix::mount::{MsFlags, mount};
    Ok(mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_SLAVE | MsFlags::MS_REC,
        None::<&str>,
    )?)
}

/// A tmpfs with nothing mounted on it.
pub fn tmpfs(options: &[(&str, &str)], attributes: Attributes) -> io::Result<OwnedFd> {
    let tmpfs = Filesystem::open("tmpfs")?;
    tmpfs.set("source", b"tmpfs")?;
    for (key, value) in options {
        tmpfs.set(key, value.as_bytes())?;
    }
    tmpfs.mount(attributes)
}

/// Makes `new_root` the root directory, and forgets the old one.
pub fn pivot(new_root: &impl AsFd) -> io::Result<()> {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    nix::unistd::fchdir(new_root)?;
    // pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one.
    nix::unistd::pivot_root(".", ".")?;
    mount(
        None::<&str>,
        ".",
        None::<&str>,
        MsFlags::MS_SLAVE | MsFlags::MS_REC,
        None::<&str>,
    )?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(nix::unistd::chdir("/")?)
}

/// As [`pivot`], for a host whose root is one that cannot be pivoted from (a ramfs).
///
/// The old root stays mounted below: a process with the right to chroot(2) can find it.
pub fn move_to_root(new_root: &impl AsFd) -> io::Result<()> {
    use nix::mount::{MsFlags, mount};
    nix::unistd::fchdir(new_root)?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    nix::unistd::chroot(".")?;
    Ok(nix::unistd::chdir("/")?)
}
