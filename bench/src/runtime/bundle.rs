//! What the runtimes are given to run.

use std::path::Path;

use anyhow::Context;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Runtime;

/// A bundle, and beside it the states of all runtimes; removed when dropped.
pub struct Bundle {
    dir: TempDir,
    spec: Value,
}

impl Bundle {
    /// The configuration of `skiff`'s own `spec`, with a root of busybox.
    pub fn make(skiff: &Runtime) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("skiff-bench-").tempdir()?;
        let bin = dir.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin)?;
        for name in ["true", "sleep"] {
            let copied = std::fs::copy("/bin/busybox", bin.join(name));
            copied.context("copy /bin/busybox: install Debian's busybox-static")?;
        }
        let path = dir.path().to_str().context("a path that is no text")?;
        skiff.call(dir.path(), &["spec", "--bundle", path])?;
        let text = std::fs::read(dir.path().join("config.json"))?;
        let mut spec: Value = serde_json::from_slice(&text)?;
        // crun 1.8 knows no newer one.
        spec["ociVersion"] = "1.0.0".into();
        spec["process"]["terminal"] = false.into();
        let mut bundle = Self { dir, spec };
        bundle.set_args(&["/bin/true"])?;
        Ok(bundle)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn text(&self) -> &str {
        self.path().to_str().expect("it was when it was made")
    }

    fn set_args(&mut self, args: &[&str]) -> anyhow::Result<()> {
        self.spec["process"]["args"] = json!(args);
        let text = serde_json::to_vec(&self.spec)?;
        Ok(std::fs::write(self.path().join("config.json"), text)?)
    }
}

/// Takes mounts of its own, without the v2 hierarchy of a hybrid machine.
pub fn hide_unified() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)
        .context("make a mount namespace: this is to be run as root")?;
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
    // Where there is none there is nothing to hide.
    let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
    Ok(())
}
