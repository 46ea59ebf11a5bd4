//! `subPath`: a part of a volume, resolved so that no symbolic link in the
//! volume can lead out of it (CVE-2017-1002101), and bound by descriptor so
//! that nothing can be swapped in between (CVE-2021-25741).

use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

/// Binds `volume`/`sub_path` at `target`, making the directories that are missing.
pub fn bind(volume: &Path, sub_path: &str, target: &Path) -> io::Result<()> {
    let root = open_root(volume)?;
    let part = match resolve(&root, Path::new(sub_path)) {
        Err(Errno::ENOENT) => make_directories(&root, Path::new(sub_path))?,
        found => found?,
    };
    let is_directory =
        SFlag::from_bits_truncate(fstat(&part)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
    make_target(target, is_directory)?;
    let source = format!("/proc/self/fd/{}", part.as_raw_fd());
    mount(
        Some(source.as_str()),
        target,
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )?;
    Ok(())
}

fn open_root(volume: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags);
    Ok(openat2(nix::fcntl::AT_FDCWD, volume, how)?)
}

/// Opens `path` with `root` as its `/`: see openat2(2).
fn resolve(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how)
}

fn make_directories(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let mut at = resolve(root, Path::new("."))?;
    let mut walked = std::path::PathBuf::new();
    for part in path.components() {
        let Component::Normal(name) = part else {
            let message = format!("subPath {} must not contain ..", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        match mkdirat(&at, name, Mode::from_bits_truncate(0o750)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(e.into()),
        }
        walked.push(name);
        at = resolve(root, &walked)?;
    }
    Ok(at)
}

fn make_target(target: &Path, is_directory: bool) -> io::Result<()> {
    if is_directory {
        return fs::create_dir_all(target);
    }
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(target)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_resolved_inside_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        symlink("/etc", dir.path().join("out")).unwrap();
        let root = open_root(dir.path()).unwrap();
        let found = resolve(&root, Path::new("out")).unwrap();
        let path = fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).unwrap();
        assert_eq!(path, dir.path().canonicalize().unwrap().join("etc"));
    }

    #[test]
    fn missing_directories_are_made_below_the_volume_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = open_root(dir.path()).unwrap();
        make_directories(&root, Path::new("a/b")).unwrap();
        assert!(dir.path().join("a/b").is_dir());
        assert!(make_directories(&root, Path::new("../x")).is_err());
    }
}
