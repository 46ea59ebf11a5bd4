//! `fsGroup`: giving a volume's files to the pod's group.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

/// Whether the pod may write to the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// Gives everything at and below `root` to `group`: readable (and writable) by
/// it, new files inherit it. Symbolic links are never followed.
pub fn give_to_group(root: &Path, group: u32, access: Access) -> io::Result<()> {
    let metadata = fs::symlink_metadata(root)?;
    lchown(root, None, Some(group))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let rights = if access == Access::ReadOnly {
        0o440
    } else {
        0o660
    };
    let directory = if metadata.is_dir() { 0o2110 } else { 0 };
    let mode = (metadata.mode() & 0o7777) | rights | directory;
    fs::set_permissions(root, Permissions::from_mode(mode))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(root)? {
            give_to_group(&entry?.path(), group, access)?;
        }
    }
    Ok(())
}
