//! The data directory: made private, marked with a version, used by one skiff.

use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};

/// What this skiff writes and reads. Raised when an older skiff could not read it.
const VERSION: &str = "1";

/// An opened data directory; no other skiff can open it until this is dropped.
pub struct DataDir {
    _lock: Flock<File>,
}

impl DataDir {
    /// Opens `dir`, made if absent, and refuses one of another version or in use.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        pki::private_file::make_dir(dir)?;
        fs::set_permissions(dir, Permissions::from_mode(0o700))
            .with_context(|| format!("make {} private", dir.display()))?;
        let lock = lock(dir)?;
        check_version(dir)?;
        Ok(Self { _lock: lock })
    }
}

fn lock(dir: &Path) -> anyhow::Result<Flock<File>> {
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let _ = file.as_fd();
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(
            "another skiff is running with data directory {}; stop it first, or choose another --data-dir",
            dir.display()
        ),
        Err((_, error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

fn check_version(dir: &Path) -> anyhow::Result<()> {
    let path = dir.join("version");
    match fs::read_to_string(&path) {
        Ok(found) if found.trim() == VERSION => Ok(()),
        Ok(found) => bail!(
            "{} was written by another version of skiff: it has format {:?}, this skiff reads {VERSION}; \
             use the skiff that wrote it, or choose another --data-dir (nothing was changed)",
            dir.display(),
            found.trim(),
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            pki::private_file::write(&path, VERSION.as_bytes())?;
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_directory_is_private_and_opens_again() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        drop(DataDir::open(&dir).unwrap());
        DataDir::open(&dir).unwrap();
        let mode = fs::metadata(&dir).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn data_directory_of_another_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("version"), "99").unwrap();
        let error = DataDir::open(dir.path()).err().unwrap().to_string();
        assert!(
            error.contains("another version") && error.contains("--data-dir"),
            "{error}"
        );
        assert_eq!(
            fs::read_to_string(dir.path().join("version")).unwrap(),
            "99"
        );
    }

    #[test]
    fn data_directory_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("another skiff is running"), "{error}");
    }
}
