//! A cluster's control groups: one a node, in every hierarchy of the machine.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use runtime::{Group, Layout};

use crate::error::{Result, file, kernel};

/// The group of a node, or of a whole cluster.
pub struct Groups {
    group: Group,
    path: PathBuf,
}

impl Groups {
    pub fn at(path: &Path) -> Result<Self> {
        let group = Group::at(Layout::detect()?, path)?;
        let path = path.to_owned();
        Ok(Self { group, path })
    }

    pub fn layout(&self) -> &Layout {
        self.group.layout()
    }

    /// Moves the calling process, which has one thread, into the group, which
    /// it takes for the root of all groups from then on.
    pub fn enter(&self) -> Result<()> {
        self.group.create()?;
        self.group.join()?;
        let unified = self.unified();
        if let (Some(dir), Layout::V1 { .. }) = (&unified, self.layout()) {
            fs::create_dir_all(dir).map_err(file("create", dir))?;
            join(dir)?;
        }
        nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP)
            .map_err(kernel("make a cgroup namespace"))?;
        // On v2 a group with processes cannot hand controllers down (cgroups(7)).
        match unified {
            None => Ok(()),
            Some(dir) => {
                let leaf = dir.join("init");
                fs::create_dir_all(&leaf).map_err(file("create", &leaf))?;
                join(&leaf)
            }
        }
    }

    fn unified(&self) -> Option<PathBuf> {
        match self.layout() {
            Layout::V2 { mount }
            | Layout::V1 {
                unified: Some(mount),
                ..
            } => Some(mount.join(&self.path)),
            Layout::V1 { .. } => None,
        }
    }

    pub fn freeze(&self, is_to_stop: bool) -> Result<()> {
        Ok(self.group.freeze(is_to_stop)?)
    }

    /// Kills what is in it, and removes it with all groups below.
    pub fn remove(&self) -> Result<()> {
        // A frozen process takes no SIGKILL on v1.
        let _ = self.group.freeze(false);
        self.group.destroy()?;
        if let Layout::V1 {
            unified: Some(mount),
            ..
        } = self.layout()
        {
            let mount = mount.clone();
            Group::at(Layout::V2 { mount }, &self.path)?.destroy()?;
        }
        Ok(())
    }
}

fn join(dir: &Path) -> Result<()> {
    let procs = dir.join("cgroup.procs");
    fs::write(&procs, "0").map_err(file("join the group of", &procs))
}
