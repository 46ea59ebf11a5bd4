//! What a directory and all below it hold of a disk.
//!
//! Pods change what is looked at meanwhile: nothing is followed out of the directory, no mount is
//! entered, and what is gone by the time it is looked at is not there.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;

/// Disk that is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUse {
    pub bytes: u64,
    pub inodes: u64,
}

impl std::ops::AddAssign for DiskUse {
    fn add_assign(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.inodes = self.inodes.saturating_add(other.inodes);
    }
}

/// A file with several names is counted once. What is not there uses nothing.
pub fn of(root: &Path) -> DiskUse {
    let mut walk = Walk {
        linked: HashSet::new(),
        total: DiskUse::default(),
    };
    match walk.run(root) {
        Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => {}
        Err(e) => tracing::debug!("look at what {} uses: {e}", root.display()),
    }
    walk.total
}

struct Walk {
    /// Files of several names that were counted, by device and inode.
    linked: HashSet<(u64, u64)>,
    total: DiskUse,
}

impl Walk {
    fn run(&mut self, root: &Path) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let top = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        self.count(&rustix::fs::fstat(&top)?);
        let mut left = vec![PathBuf::from(".")];
        while let Some(path) = left.pop() {
            match self.list(&top, &path, &mut left) {
                // It went, or is none of ours: a mount, or longer than a path can be.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => {}
                Err(e) => tracing::debug!("look into {}: {e}", root.join(path).display()),
            }
        }
        Ok(())
    }

    fn list(&mut self, top: &OwnedFd, path: &Path, left: &mut Vec<PathBuf>) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let bounds = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let dir = openat2(top, path, flags, Mode::empty(), bounds)?;
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            self.count(&stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                use std::os::unix::ffi::OsStrExt as _;
                left.push(path.join(std::ffi::OsStr::from_bytes(name.to_bytes())));
            }
        }
        Ok(())
    }

    fn count(&mut self, stat: &rustix::fs::Stat) {
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !is_dir && stat.st_nlink > 1 && !self.linked.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        self.total += DiskUse {
            // stat(2): blocks are of 512 bytes, whatever the file system's are.
            bytes: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
            inodes: 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_count_once_by_their_blocks_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        fs::create_dir_all(inside.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("large"), vec![1; 1 << 20]).unwrap();
        fs::write(inside.join("a/b/f"), vec![1; 100_000]).unwrap();
        fs::hard_link(inside.join("a/b/f"), inside.join("again")).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        let hole = fs::File::create(inside.join("hole")).unwrap();
        hole.set_len(1 << 30).unwrap();
        let found = of(&inside);
        assert!((98_000..400_000).contains(&found.bytes), "{found:?}");
        // The directory and two below, one file of two names, a link, a hole.
        assert_eq!(found.inodes, 6);
    }

    #[test]
    fn what_is_not_there_uses_nothing() {
        assert_eq!(of(Path::new("/nowhere/at/all")), DiskUse::default());
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/usr", &link).unwrap();
        assert_eq!(of(&link), DiskUse::default());
    }
}
