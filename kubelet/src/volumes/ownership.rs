//! `fsGroup`: giving a volume's files to the pod's group.
//!
//! Other pods may be writing to the volume meanwhile: every file is held by a
//! descriptor that was opened without following a link, and changed through it.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use k8s_openapi::api::core::v1::PodSpec;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Gid, fchownat};

/// Directories within directories, at most: each takes a descriptor.
const DEEPEST: usize = 512;

/// Whether the pod may write to the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// When a volume that outlives its pods is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Always,
    /// Only when its root is not the group's yet.
    OnRootMismatch,
}

impl Change {
    pub fn of(spec: Option<&PodSpec>) -> Self {
        let context = spec.and_then(|spec| spec.security_context.as_ref());
        match context.and_then(|c| c.fs_group_change_policy.as_deref()) {
            Some("OnRootMismatch") => Self::OnRootMismatch,
            _ => Self::Always,
        }
    }
}

/// The same for a volume that may have been given to the group before.
pub fn give_volume_to_group(root: &Path, group: u32, change: Change) -> io::Result<()> {
    let metadata = fs::symlink_metadata(root)?;
    let rights = rights(Access::ReadWrite, metadata.is_dir());
    let is_given = metadata.gid() == group && metadata.mode() & rights == rights;
    if is_given && change == Change::OnRootMismatch {
        return Ok(());
    }
    give_to_group(root, group, Access::ReadWrite)
}

/// Gives everything at and below `root` to `group`: readable (and writable) by
/// it, new files inherit it. Symbolic links are never followed.
pub fn give_to_group(root: &Path, group: u32, access: Access) -> io::Result<()> {
    let root = hold(AT_FDCWD, root)?;
    give(&root, Gid::from_raw(group), access, 0)
}

fn hold(dir: BorrowedFd<'_>, name: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

fn give(file: &OwnedFd, group: Gid, access: Access, depth: usize) -> io::Result<()> {
    if depth > DEEPEST {
        let message = format!("more than {DEEPEST} directories within each other");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let stat = fstat(file)?;
    fchownat(file, "", None, Some(group), AtFlags::AT_EMPTY_PATH)?;
    if is(&stat, SFlag::S_IFLNK) {
        return Ok(());
    }
    let is_directory = is(&stat, SFlag::S_IFDIR);
    let mode = (stat.st_mode & 0o7777) | rights(access, is_directory);
    // The one way to change the mode of what is held by O_PATH: proc(5).
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    if !is_directory {
        return Ok(());
    }
    for entry in fs::read_dir(&path)? {
        match hold(file.as_fd(), Path::new(&entry?.file_name())) {
            // Somebody was faster to remove it.
            Err(Errno::ENOENT) => {}
            held => give(&held?, group, access, depth + 1)?,
        }
    }
    Ok(())
}

fn is(stat: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == kind
}

fn rights(access: Access, is_directory: bool) -> u32 {
    let rights = match access {
        Access::ReadOnly => 0o440,
        Access::ReadWrite => 0o660,
    };
    rights | if is_directory { 0o2110 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// The group that files of the tests have anyway: no root is needed.
    fn own_group() -> u32 {
        nix::unistd::getegid().as_raw()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn links_in_a_volume_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (volume, secret) = (dir.path().join("v"), dir.path().join("secret"));
        fs::create_dir_all(volume.join("sub")).unwrap();
        for file in [&secret, &volume.join("sub/file")] {
            fs::write(file, "x").unwrap();
            fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
        }
        symlink(&secret, volume.join("sub/link")).unwrap();
        give_to_group(&volume, own_group(), Access::ReadWrite).unwrap();
        assert_eq!(mode(&volume.join("sub/file")), 0o660);
        assert_eq!(mode(&volume.join("sub")) & 0o2770, 0o2770);
        assert_eq!(mode(&secret), 0o600);
    }

    #[test]
    fn volume_that_is_the_groups_is_gone_through_only_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let given = |change| {
            fs::write(&file, "x").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            give_volume_to_group(dir.path(), own_group(), change).unwrap();
            mode(&file)
        };
        assert_eq!(given(Change::OnRootMismatch), 0o660);
        assert_eq!(given(Change::OnRootMismatch), 0o600);
        assert_eq!(given(Change::Always), 0o660);
    }
}
