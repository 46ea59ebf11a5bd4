//! The store's directory: where things lie, who may change them, how they become durable.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, syncfs};
use tempfile::{NamedTempFile, TempDir};

use crate::{Error, Result};

/// Changes when an older skiff could not read what a newer one writes.
const VERSION: u32 = 1;

/// Kept aside for the removal of images from a disk that is full: an index and a directory.
const SPARE: u64 = 1 << 20;

/// One store's directory.
#[derive(Debug, Clone)]
pub struct Disk {
    root: PathBuf,
}

/// A lock among all processes that use the directory; dropped, it is free.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Disk {
    /// Makes what is missing; refuses another version's directory.
    pub fn open(root: &Path) -> Result<Self> {
        let disk = Self {
            root: root.to_owned(),
        };
        make_private(root)?;
        disk.check_version()?;
        for dir in [disk.blobs(), disk.layers(), disk.staging(), disk.holds()] {
            make_private(&dir)?;
        }
        disk.keep_spare();
        Ok(disk)
    }

    /// Does what makes room, on a disk that may be full: what it needs for that is kept aside.
    pub fn with_spare<T>(&self, work: impl Fn() -> Result<T>) -> Result<T> {
        match work() {
            Err(error) if error.is_of_a_full_disk() => {
                remove(&self.spare())?;
                let done = work();
                self.keep_spare();
                done
            }
            done => done,
        }
    }

    /// Keeps room aside, as far as there is any.
    fn keep_spare(&self) {
        let path = self.spare();
        let keep = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let file = options
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&path)?;
            Ok(fallocate(&file, FallocateFlags::empty(), 0, SPARE)?)
        };
        if let Err(error) = keep() {
            tracing::debug!("keep room aside at {}: {error}", path.display());
        }
    }

    fn spare(&self) -> PathBuf {
        self.root.join("spare")
    }

    fn check_version(&self) -> Result<()> {
        let path = self.root.join("version");
        match fs::read_to_string(&path) {
            Ok(text) if text.trim() == VERSION.to_string() => Ok(()),
            Ok(text) => {
                let found = text.trim().chars().take(32).collect();
                Err(Error::Version {
                    path: self.root.clone(),
                    found,
                    wanted: VERSION,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.replace(&path, format!("{VERSION}\n").as_bytes())
            }
            Err(error) => Err(Error::disk("read", path)(error)),
        }
    }

    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// Things being made; nothing here is needed by anything.
    pub fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub fn holds(&self) -> PathBuf {
        self.root.join("holds")
    }

    pub fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    /// Held while the index is read, changed and written.
    pub fn lock_index(&self) -> Result<Lock> {
        self.lock("index.lock", FlockOperation::LockExclusive)
    }

    /// Held while blobs and layers are made that no index entry protects yet.
    pub fn lock_making(&self) -> Result<Lock> {
        self.lock("making.lock", FlockOperation::LockShared)
    }

    /// Held while what nothing needs is removed; none while anybody is making.
    pub fn try_lock_sweeping(&self) -> Result<Option<Lock>> {
        match self.lock("making.lock", FlockOperation::NonBlockingLockExclusive) {
            Err(Error::Disk { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    fn lock(&self, name: &str, operation: FlockOperation) -> Result<Lock> {
        let path = self.root.join(name);
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let file = open.map_err(Error::disk("open", &path))?;
        loop {
            match flock(&file, operation) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::disk("lock", path)(error.into())),
                Ok(()) => return Ok(Lock { _file: file }),
            }
        }
    }

    pub fn staged_file(&self) -> Result<NamedTempFile> {
        NamedTempFile::new_in(self.staging())
            .map_err(Error::disk("create a file in", self.staging()))
    }

    pub fn staged_dir(&self) -> Result<TempDir> {
        TempDir::new_in(self.staging())
            .map_err(Error::disk("create a directory in", self.staging()))
    }

    /// Puts `bytes` at `path`, durably: after a crash the file is the old or the new one.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let write = || -> io::Result<()> {
            let dir = path.parent().unwrap_or(&self.root);
            let mut file = NamedTempFile::new_in(dir)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(Error::disk("write", path))
    }

    /// Makes all blobs and layers durable, before the index names them.
    pub fn sync(&self) -> Result<()> {
        let sync = || -> io::Result<()> { Ok(syncfs(File::open(&self.root)?)?) };
        sync().map_err(Error::disk("sync the file system of", &self.root))
    }

    /// Empties the staging directory of what a killed process left. Only while sweeping.
    pub fn clear_staging(&self) -> Result<()> {
        for path in list(&self.staging())? {
            remove(&path)?;
        }
        Ok(())
    }

    /// Removes a tree so that no half of it is ever seen under its own name.
    pub fn discard(&self, path: &Path) -> Result<()> {
        let trash = self.staged_dir()?;
        fs::rename(path, trash.path().join("removed")).map_err(Error::disk("remove", path))?;
        let place = trash.keep();
        remove(&place)
    }
}

/// The paths in a directory.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = || {
        fs::read_dir(dir)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<_>>()
    };
    read().map_err(Error::disk("list", dir))
}

fn remove(path: &Path) -> Result<()> {
    let is_dir = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let removed = if is_dir {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::disk("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn make_private(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(Error::disk("create", dir))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn full() -> Error {
        Error::disk("write", "x")(io::Error::from(io::ErrorKind::StorageFull))
    }

    #[test]
    fn what_makes_room_has_some_on_a_full_disk() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let spare = dir.path().join("spare");
        let size = || fs::metadata(&spare).map(|meta| meta.len()).ok();
        let kept = size();
        assert!(kept.is_some());
        let tries = Cell::new(0);
        let removed = disk.with_spare(|| {
            tries.set(tries.get() + 1);
            if spare.exists() { Err(full()) } else { Ok(()) }
        });
        removed.unwrap();
        assert_eq!((tries.get(), size()), (2, kept), "tried twice, kept again");
    }

    #[test]
    fn other_troubles_are_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let tries = Cell::new(0);
        let refused = disk.with_spare(|| -> Result<()> {
            tries.set(tries.get() + 1);
            Err(Error::disk("write", "x")(
                io::ErrorKind::PermissionDenied.into(),
            ))
        });
        assert!(refused.is_err() && tries.get() == 1);
    }
}
