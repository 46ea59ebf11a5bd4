//! A directory that nothing written into it can leave.
//!
//! Every path is resolved by the kernel beneath the tree (`openat2` with
//! `RESOLVE_IN_ROOT`): a link to `/etc` leads to the tree's own `etc`. What is
//! then made, is made by a single name in a directory that is held open, and
//! never through a link.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io,
    os::{fd::AsRawFd, fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    rc::Rc,
};

use rustix::{
    fs::{
        self, AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timestamps, Uid,
        XattrFlags,
    },
    io::Errno,
};

use crate::limits;

const OPAQUE: &str = "trusted.overlay.opaque";

/// The tree, and the directory that was last worked in.
pub struct Tree {
    root: Rc<OwnedFd>,
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
}

/// One name in a directory of the tree; it may not exist.
pub struct Name {
    parent: Rc<OwnedFd>,
    name: Vec<u8>,
}

/// The path without `/`, `.` and doubled slashes at any place; empty for the root.
pub fn clean(path: &[u8]) -> io::Result<Vec<u8>> {
    let bad = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
    let parts: Vec<&[u8]> = path
        .split(|&b| b == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    if path.len() > limits::PATH
        || parts.len() > limits::PATH_DEPTH
        || parts.iter().any(|part| part.len() > 255)
    {
        return bad("the path is too long");
    }
    if parts.contains(&&b".."[..]) {
        return bad("the path has a .. in it");
    }
    if path.contains(&0) {
        return bad("the path has a zero byte in it");
    }
    Ok(parts.join(&b'/'))
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

impl Tree {
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Self {
            root: Rc::new(fs::openat(CWD, path, flags, Mode::empty())?),
            last: None,
        })
    }

    /// The name that `path` ends in; makes the directories that lead there. None for the root itself.
    pub fn locate(
        &mut self,
        path: &[u8],
        implied: &mut BTreeSet<Vec<u8>>,
    ) -> io::Result<Option<Name>> {
        if path.is_empty() {
            return Ok(None);
        }
        let (parent, name) = split(path);
        if self.last.as_ref().is_none_or(|(known, _)| known != parent) {
            let fd = self.make_path(parent, implied)?;
            self.last = Some((parent.to_vec(), Rc::new(fd)));
        }
        let (_, fd) = self.last.as_ref().expect("set just above");
        Ok(Some(Name {
            parent: Rc::clone(fd),
            name: name.to_vec(),
        }))
    }

    /// The name that `path` ends in, if its directory exists.
    pub fn find(&self, path: &[u8]) -> io::Result<Option<Name>> {
        let (parent, name) = split(path);
        match self.resolve(parent) {
            Ok(fd) => Ok(Some(Name {
                parent: Rc::new(fd),
                name: name.to_vec(),
            })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Something was removed: the directory last worked in may be no more.
    pub fn forget(&mut self) {
        self.last = None;
    }

    fn resolve(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match fs::openat2(&self.root, path, flags, Mode::empty(), how) {
                // A rename elsewhere on the machine made the kernel give up; man openat2.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn make_path(&self, path: &[u8], implied: &mut BTreeSet<Vec<u8>>) -> io::Result<OwnedFd> {
        match self.resolve(path) {
            Err(Errno::NOENT | Errno::NOTDIR) if !path.is_empty() => {}
            other => return Ok(other?),
        }
        let (above, name) = split(path);
        let parent = Name {
            parent: Rc::new(self.make_path(above, implied)?),
            name: name.to_vec(),
        };
        let hides_below = parent.kind()?.is_some();
        if hides_below {
            parent.remove()?;
        }
        parent.make_directory()?;
        if hides_below {
            parent.make_opaque()?;
        }
        implied.insert(path.to_vec());
        Ok(self.resolve(path)?)
    }

    pub fn dress_root(&self, uid: u32, gid: u32, mode: u32) -> io::Result<()> {
        fs::fchown(&self.root, owner(uid), group(gid))?;
        Ok(fs::fchmod(&self.root, Mode::from_raw_mode(mode & 0o7777))?)
    }

    pub fn set_directory_times(&self, path: &[u8], times: &Timestamps) -> io::Result<()> {
        match self.resolve(path) {
            Ok(dir) => Ok(fs::futimens(dir, times)?),
            // A later entry replaced the directory.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes owner, mode and times of the directory `path` from the first of `lower` that has it.
    pub fn copy_directory_from(&self, lower: &[Self], path: &[u8]) -> io::Result<()> {
        let Ok(target) = self.resolve(path) else {
            return Ok(());
        };
        let Some(found) = lower.iter().find_map(|tree| tree.resolve(path).ok()) else {
            return Ok(());
        };
        let stat = fs::fstat(found)?;
        fs::fchown(&target, owner(stat.st_uid), group(stat.st_gid))?;
        fs::fchmod(&target, Mode::from_raw_mode(stat.st_mode))?;
        let time = rustix::fs::Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: stat.st_mtime_nsec.cast_signed(),
        };
        Ok(fs::futimens(
            target,
            &Timestamps {
                last_access: time,
                last_modification: time,
            },
        )?)
    }
}

impl Name {
    pub fn bytes(&self) -> &[u8] {
        &self.name
    }

    /// Another name in the same directory.
    pub fn sibling(&self, name: &[u8]) -> io::Result<Self> {
        if name.is_empty() || name == b"." || name == b".." {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a whiteout without a name",
            ));
        }
        Ok(Self {
            parent: Rc::clone(&self.parent),
            name: name.to_vec(),
        })
    }

    fn stat(&self) -> io::Result<Option<Stat>> {
        match fs::statat(
            &*self.parent,
            self.name.as_slice(),
            AtFlags::SYMLINK_NOFOLLOW,
        ) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub fn kind(&self) -> io::Result<Option<FileType>> {
        Ok(self
            .stat()?
            .map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    pub fn is_whiteout(&self) -> io::Result<bool> {
        Ok(self.stat()?.is_some_and(|stat| stat.st_rdev == 0))
    }

    pub fn is_same(&self, other: &Self) -> io::Result<bool> {
        let (a, b) = (fs::fstat(&*self.parent)?, fs::fstat(&*other.parent)?);
        Ok(self.name == other.name && (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    pub fn make_directory(&self) -> io::Result<()> {
        Ok(fs::mkdirat(
            &*self.parent,
            self.name.as_slice(),
            Mode::from_raw_mode(0o755),
        )?)
    }

    pub fn create_file(&self) -> io::Result<File> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(
            &*self.parent,
            self.name.as_slice(),
            flags,
            Mode::RUSR | Mode::WUSR,
        )?;
        Ok(File::from(fd))
    }

    pub fn symlink(&self, target: &[u8]) -> io::Result<()> {
        Ok(fs::symlinkat(target, &*self.parent, self.name.as_slice())?)
    }

    pub fn link_to(&self, target: &Self) -> io::Result<()> {
        let (from, to) = (target.name.as_slice(), self.name.as_slice());
        Ok(fs::linkat(
            &*target.parent,
            from,
            &*self.parent,
            to,
            AtFlags::empty(),
        )?)
    }

    pub fn make_node(&self, kind: FileType, (major, minor): (u32, u32)) -> io::Result<()> {
        let device = fs::makedev(major, minor);
        Ok(fs::mknodat(
            &*self.parent,
            self.name.as_slice(),
            kind,
            Mode::empty(),
            device,
        )?)
    }

    pub fn remove(&self) -> io::Result<()> {
        match fs::unlinkat(&*self.parent, self.name.as_slice(), AtFlags::empty()) {
            // remove_dir_all follows no link, and the last name is no link.
            Err(Errno::ISDIR) => std::fs::remove_dir_all(self.path()),
            other => Ok(other?),
        }
    }

    pub fn make_opaque(&self) -> io::Result<()> {
        Ok(fs::lsetxattr(
            self.path(),
            OPAQUE,
            b"y",
            XattrFlags::empty(),
        )?)
    }

    pub fn make_parent_opaque(&self) -> io::Result<()> {
        Ok(fs::fsetxattr(
            &*self.parent,
            OPAQUE,
            b"y",
            XattrFlags::empty(),
        )?)
    }

    pub fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(fs::chownat(
            &*self.parent,
            self.name.as_slice(),
            owner(uid),
            group(gid),
            flags,
        )?)
    }

    /// Never for a symbolic link: `fchmodat` follows it.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode & 0o7777);
        Ok(fs::chmodat(
            &*self.parent,
            self.name.as_slice(),
            mode,
            AtFlags::empty(),
        )?)
    }

    pub fn set_times(&self, times: &Timestamps) -> io::Result<()> {
        Ok(fs::utimensat(
            &*self.parent,
            self.name.as_slice(),
            times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// A file system that has no such attributes is no error.
    pub fn set_attribute(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match fs::lsetxattr(self.path(), key, value, XattrFlags::empty()) {
            Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
            other => Ok(other?),
        }
    }

    /// For the calls that take no directory descriptor.
    fn path(&self) -> PathBuf {
        Path::new("/proc/self/fd")
            .join(self.parent.as_raw_fd().to_string())
            .join(OsStr::from_bytes(&self.name))
    }
}

fn owner(uid: u32) -> Option<Uid> {
    Some(Uid::from_raw(uid))
}

fn group(gid: u32) -> Option<Gid> {
    Some(Gid::from_raw(gid))
}
