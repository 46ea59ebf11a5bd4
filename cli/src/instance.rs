//! Where one skiff keeps things, and what it calls things on its machine.
//!
//! The machine's own skiff has the plain names. One with another data
//! directory (a test, a second node on a laptop) has names of its own, made
//! from that directory, so that the two never touch each other's pods.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

pub const DEFAULT_DATA_DIR: &str = "/var/lib/skiff";
const MOVED: &str = "store-moved-";

/// The flag that says which skiff of this machine is meant.
#[derive(Args, Clone, Debug)]
pub struct InstanceFlags {
    /// Where everything is kept that must outlive a restart
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA_DIR, env = "SKIFF_DATA_DIR")]
    pub data_dir: PathBuf,
}

/// The names of one skiff on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub data_dir: PathBuf,
    pub run_dir: PathBuf,
    pub cgroup_root: String,
    pub bridge: String,
}

impl InstanceFlags {
    pub fn instance(&self) -> anyhow::Result<Instance> {
        let data_dir = std::path::absolute(&self.data_dir)
            .with_context(|| format!("resolve --data-dir {}", self.data_dir.display()))?;
        Ok(Instance::of(data_dir))
    }
}

impl Instance {
    fn of(data_dir: PathBuf) -> Self {
        if data_dir == Path::new(DEFAULT_DATA_DIR) {
            return Self::named(data_dir, "skiff", "skiff0".into());
        }
        let id = short_hash(&data_dir);
        Self::named(data_dir, &format!("skiff-{id}"), format!("sk{id}"))
    }

    fn named(data_dir: PathBuf, name: &str, bridge: String) -> Self {
        Self {
            data_dir,
            run_dir: Path::new("/run").join(name),
            cgroup_root: format!("/{name}"),
            bridge,
        }
    }

    /// Whether it is the one that has the plain names.
    pub fn is_the_machines_own(&self) -> bool {
        self.data_dir == Path::new(DEFAULT_DATA_DIR)
    }

    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.data_dir.join("admin.kubeconfig")
    }

    pub fn pki_dir(&self) -> PathBuf {
        self.data_dir.join("pki")
    }

    /// What an agent knows of the cluster's servers.
    pub fn servers_file(&self) -> PathBuf {
        self.data_dir.join("servers")
    }

    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// The name of a store that went on in etcd when it was at revision `at`.
    pub fn moved_store_dir(&self, at: store::Revision) -> PathBuf {
        self.data_dir.join(format!("{MOVED}{at}"))
    }

    /// A store that went on in etcd, if there is one.
    pub fn moved_store(&self) -> anyhow::Result<Option<PathBuf>> {
        let listed = || format!("list {}", self.data_dir.display());
        for file in std::fs::read_dir(&self.data_dir).with_context(listed)? {
            let file = file.with_context(listed)?;
            if file.file_name().to_string_lossy().starts_with(MOVED) {
                return Ok(Some(file.path()));
            }
        }
        Ok(None)
    }

    pub fn images_dir(&self) -> PathBuf {
        Self::images_in(&self.data_dir)
    }

    /// The images of whoever has this data directory.
    pub fn images_in(data_dir: &Path) -> PathBuf {
        data_dir.join("images")
    }

    pub fn program_dir(&self) -> PathBuf {
        self.data_dir.join("bin")
    }

    pub fn kubelet_dir(&self) -> PathBuf {
        self.data_dir.join("kubelet")
    }

    /// Volumes on this machine's own disk.
    pub fn storage_dir(&self) -> PathBuf {
        self.data_dir.join("storage")
    }

    pub fn network_dir(&self) -> PathBuf {
        self.data_dir.join("network")
    }

    /// The machine's own skiff logs where Kubernetes does; others beside their data.
    pub fn log_dir(&self) -> PathBuf {
        if self.data_dir == Path::new(DEFAULT_DATA_DIR) {
            return PathBuf::from("/var/log");
        }
        self.data_dir.join("log")
    }
}

/// Eight hex digits that tell paths apart (FNV-1a); interface names hold fifteen bytes.
fn short_hash(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let hash = path.as_os_str().as_bytes().iter().fold(0x811c_9dc5, mix);
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_skiff_has_the_plain_names() {
        let instance = Instance::of(DEFAULT_DATA_DIR.into());
        assert_eq!(instance.run_dir, Path::new("/run/skiff"));
        assert_eq!(instance.bridge, "skiff0");
    }

    #[test]
    fn another_data_directory_has_names_of_its_own_that_fit_an_interface() {
        let a = Instance::of("/tmp/a".into());
        let b = Instance::of("/tmp/b".into());
        assert_ne!((&a.run_dir, &a.bridge), (&b.run_dir, &b.bridge));
        assert!(a.bridge.len() <= 10, "{}", a.bridge);
    }
}
