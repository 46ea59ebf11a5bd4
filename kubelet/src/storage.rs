//! The directories of volumes that this node keeps: one a volume, below one place.
//!
//! A volume's directory is made when its first pod comes and removed when the
//! cluster asks for it; what is in it is the pods' alone. Names from outside are one
//! component of a path or refused, and nothing here follows a link (openat2(2)).

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};

use crate::dirs;

/// Directories of volumes are called so, and no others are touched.
const PREFIX: &str = "pvc-";

/// The place where this node keeps volumes.
#[derive(Clone, Debug)]
pub struct Storage {
    root: PathBuf,
}

impl Storage {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The name of the volume's directory, if `path` is one.
    pub fn name_of<'a>(&self, path: &'a Path) -> Option<&'a str> {
        let name = path.strip_prefix(&self.root).ok()?.to_str()?;
        check(name).ok().map(|()| name)
    }

    /// Makes the volume's directory; one that is there stays as it is. Whoever runs
    /// in the pod may write to it, as to an `emptyDir`.
    pub fn make(&self, name: &str) -> io::Result<()> {
        check(name)?;
        let root = self.open_root()?;
        match mkdirat(&root, name, Mode::from_bits_truncate(0o700)) {
            Ok(()) => {
                let made = open_directory(&root, name)?;
                Ok(fchmod(&made, Mode::from_bits_truncate(0o777))?)
            }
            Err(Errno::EEXIST) => open_directory(&root, name).map(drop),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes the volume's directory and all in it; what is mounted there is undone
    /// first, and not emptied.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        check(name)?;
        let root = match self.open_root() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            root => root?,
        };
        match open_directory(&root, name) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            // Only root can put something else in its place from here on.
            Ok(_) => dirs::remove(&self.root.join(name)),
        }
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags);
        Ok(openat2(nix::fcntl::AT_FDCWD, &self.root, how)?)
    }

    /// Makes the place itself, for root alone: pods see their own volumes only.
    pub fn make_root(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)?;
        std::fs::set_permissions(&self.root, Permissions::from_mode(0o700))
    }
}

/// Opens the directory that `name` is, not one that it leads to.
fn open_directory(root: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    Ok(openat2(root, name, how)?)
}

fn check(name: &str) -> io::Result<()> {
    let mut parts = Path::new(name).components();
    let only = (parts.next(), parts.next());
    // Compared as text too: a component is found without the slashes around it.
    let is_one = matches!(only, (Some(Component::Normal(part)), None) if part == name);
    if is_one && name.starts_with(PREFIX) && !name.contains('\0') {
        return Ok(());
    }
    let message = format!("{name:?} is not the name of a volume's directory");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn storage(dir: &tempfile::TempDir) -> Storage {
        let storage = Storage::new(dir.path().join("storage"));
        storage.make_root().unwrap();
        storage
    }

    #[test]
    fn volume_is_made_once_and_removed_with_all_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage(&dir);
        let path = storage.root().join("pvc-1_n_c");
        storage.make("pvc-1_n_c").unwrap();
        fs::create_dir(path.join("sub")).unwrap();
        fs::write(path.join("sub/file"), "x").unwrap();
        storage.make("pvc-1_n_c").unwrap();
        assert_eq!(fs::read_to_string(path.join("sub/file")).unwrap(), "x");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o777);
        storage.remove("pvc-1_n_c").unwrap();
        assert!(!path.exists());
        storage.remove("pvc-1_n_c").unwrap();
    }

    #[test]
    fn links_are_neither_followed_nor_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage(&dir);
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        symlink(&outside, storage.root().join("pvc-link")).unwrap();
        assert!(storage.make("pvc-link").is_err());
        assert!(storage.remove("pvc-link").is_err());
        storage.make("pvc-1").unwrap();
        symlink(&outside, storage.root().join("pvc-1/inner")).unwrap();
        storage.remove("pvc-1").unwrap();
        assert!(outside.join("kept").exists());
    }

    #[test]
    fn only_names_of_volumes_are_touched() {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage(&dir);
        fs::create_dir(dir.path().join("pvc-x")).unwrap();
        for bad in [
            "", ".", "..", "/", "a", "pvc-a/b", "../pvc-x", "/pvc-x", "pvc-x/",
        ] {
            assert!(storage.make(bad).is_err(), "{bad:?}");
            assert!(storage.remove(bad).is_err(), "{bad:?}");
        }
        for elsewhere in ["", "a", "pvc-a/b", "../pvc-x", "/pvc-x"] {
            let path = storage.root().join(elsewhere);
            assert_eq!(storage.name_of(&path), None, "{elsewhere:?}");
        }
        let volume = storage.root().join("pvc-a");
        assert_eq!(storage.name_of(&volume), Some("pvc-a"));
        assert!(dir.path().join("pvc-x").exists());
    }
}
