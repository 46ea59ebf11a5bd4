//! The host's side of a container's file systems, opened before it is out of sight.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use sys::mount::{Reach, clone_tree};

use super::idmap::Maps;
use super::mounts::{self, Prepared};
use super::namespaces::Namespaces;
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
    /// Of a container that belongs to no pod.
    pub namespaces: Option<&'a Namespaces>,
}

impl Host<'_> {
    fn has_user_namespace(&self) -> bool {
        self.namespaces
            .is_some_and(|n| n.has(LinuxNamespaceType::User))
    }

    /// The user namespace by which the ids of a mount are mapped: its own maps, or the container's.
    pub fn users_of(&self, mount: &Mount) -> Result<OwnedFd, Fault> {
        let of = || format!("mount at {}", mount.destination().display());
        if let (None, None) = (mount.uid_mappings(), mount.gid_mappings()) {
            let container = self.namespaces.map(Namespaces::users).transpose()?;
            return container.flatten().ok_or_else(|| {
                Fault::Create(format!(
                    "{}: neither it nor the container has maps of ids",
                    of()
                ))
            });
        }
        let uid = mount.uid_mappings().as_deref().unwrap_or_default();
        let gid = mount.gid_mappings().as_deref().unwrap_or_default();
        let maps = Maps::new(uid, gid, &of())?;
        maps.namespace()
            .or_fault(|| format!("{}: make a user namespace with its maps", of()))
    }
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
        let devices = match host.has_user_namespace() {
            true => super::devices::open_host(host.spec)?,
            false => Vec::new(),
        };
        Ok(Self {
            root,
            mounts: mounts::open_sources(host)?,
            devices,
        })
    }
}
