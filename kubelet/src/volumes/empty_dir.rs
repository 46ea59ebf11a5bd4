//! `emptyDir`: a directory on disk or in memory that is the pod's to fill.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use nix::mount::MsFlags;

use super::ownership::{self, Access};
use crate::dirs;

/// Makes the volume whole or not at all; one that is there may have been
/// changed by the pod: it stays as it is.
pub fn make(path: &Path, source: &EmptyDirVolumeSource, group: Option<u32>) -> io::Result<()> {
    let in_memory = source.medium.as_deref() == Some("Memory");
    if is_there(path, in_memory)? {
        return Ok(());
    }
    whole(path, || {
        if in_memory {
            dirs::mount_memory(path, MsFlags::empty(), &memory_options(source))?;
        } else {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o777))?;
        }
        match group {
            Some(group) => ownership::give_to_group(path, group, Access::ReadWrite),
            None => Ok(()),
        }
    })
}

/// A directory that should be in memory and is not, after a reboot for
/// example, is none.
fn is_there(path: &Path, in_memory: bool) -> io::Result<bool> {
    if !path.try_exists()? {
        return Ok(false);
    }
    if in_memory {
        dirs::is_mount_point(path)
    } else {
        Ok(true)
    }
}

/// Takes the steps to make `path`; when one fails the next attempt begins anew.
fn whole(path: &Path, steps: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    steps().inspect_err(|_| {
        if let Err(e) = dirs::remove(path) {
            tracing::warn!("remove the half-made volume {}: {e}", path.display());
        }
    })
}

fn memory_options(source: &EmptyDirVolumeSource) -> String {
    let limit = source
        .size_limit
        .as_ref()
        .and_then(|text| text.0.parse::<apimachinery::Quantity>().ok());
    match limit.map(|limit| limit.value()).filter(|bytes| *bytes > 0) {
        Some(bytes) => format!("size={bytes}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_directory_is_no_volume_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(is_there(dir.path(), false).unwrap());
        assert!(!is_there(dir.path(), true).unwrap());
        assert!(!is_there(&missing, false).unwrap() && !is_there(&missing, true).unwrap());
        assert!(is_there(Path::new("/proc"), true).unwrap());
    }

    #[test]
    fn a_mount_point_is_known_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/proc", &link).unwrap();
        assert!(is_there(&link, true).unwrap());
    }

    #[test]
    fn what_the_pod_changed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        let source = EmptyDirVolumeSource::default();
        make(&path, &source, None).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o777);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        make(&path, &source, None).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn a_half_made_volume_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v");
        let failed = whole(&path, || {
            fs::create_dir_all(path.join("below"))?;
            Err(io::Error::other("no"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert!(!path.exists());
    }
}
