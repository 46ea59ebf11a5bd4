//! The host's side of a container's file systems, opened before it is out of sight.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use oci_spec::runtime::Spec;
use sys::mount::{Reach, clone_tree};

use super::mounts::{self, Prepared};
use super::{Fault, OrFault};
use crate::cgroup::Group;
use crate::config::Rootfs;
use crate::monitor::Shm;

/// A copy of the root and of every mount's source.
pub(crate) struct Sources {
    /// None where the root is yet to be put together.
    pub root: Option<OwnedFd>,
    pub mounts: Vec<Prepared>,
    /// In a user namespace no device can be made: the host's are bound.
    pub devices: Vec<(PathBuf, OwnedFd)>,
}

/// Where they come from.
pub(crate) struct Host<'a> {
    pub spec: &'a Spec,
    pub rootfs: &'a Rootfs,
    /// What the sources of mounts are relative to.
    pub base: &'a Path,
    pub group: &'a Group,
    pub shm: Option<&'a Shm>,
    pub user_namespace: UserNamespace,
}

/// Whether the container is in a user namespace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UserNamespace {
    Host,
    Own,
}

impl Sources {
    /// Opens all there is to open.
    ///
    /// A copy taken before the namespace is cut off is still a peer of its source,
    /// so `rshared` and `rslave` mean what they say.
    pub fn open(host: &Host<'_>) -> Result<Self, Fault> {
        let root = match host.rootfs {
            Rootfs::Dir(dir) => Some(
                clone_tree(AT_FDCWD, dir, Reach::Recursive)
                    .or_fault(|| format!("bind the root file system {}", dir.display()))?,
            ),
            Rootfs::Overlay { .. } => None,
        };
        let devices = match host.user_namespace {
            UserNamespace::Host => Vec::new(),
            UserNamespace::Own => super::devices::open_host(host.spec)?,
        };
        Ok(Self {
            root,
            mounts: mounts::open_sources(host)?,
            devices,
        })
    }
}
