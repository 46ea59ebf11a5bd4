//! The runtimes that the suite is played to.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::cgroups;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Skiff,
    Runc,
    Crun,
}

impl Runtime {
    /// Where its program is, if it is installed.
    pub fn program(self) -> Option<PathBuf> {
        let path = match self {
            Self::Skiff => e2e::skiff::binary(),
            Self::Runc => "/usr/sbin/runc".into(),
            Self::Crun => "/usr/bin/crun".into(),
        };
        path.exists().then_some(path)
    }

    pub fn command(self) -> Command {
        let mut command = Command::new(self.program().expect("asked for before the first case"));
        if self == Self::Skiff {
            command.arg("oci");
        }
        command
    }

    /// The same for a shell, which is how descriptors and limits are handed on.
    pub fn words(self) -> String {
        let program = self.program().expect("asked for before the first case");
        let oci = if self == Self::Skiff { " oci" } else { "" };
        format!("{}{oci}", program.display())
    }
}

/// Gives the calling thread, and what it starts, mounts of its own.
///
/// crun 1.8 takes a hybrid machine for one of cgroup v2 unless the v2 hierarchy is out of sight.
pub fn take_own_mounts(runtime: Runtime) {
    unshare(CloneFlags::CLONE_NEWNS).expect("unshare the mounts");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("make / private");
    let unified = Path::new("/sys/fs/cgroup/unified");
    if runtime == Runtime::Crun && !cgroups::are_v2() && unified.exists() {
        umount2(unified, MntFlags::MNT_DETACH).expect("hide the v2 hierarchy from crun");
        // It makes directories there all the same: not in the tmpfs that everybody sees.
        let tmpfs = Some("tmpfs");
        mount(tmpfs, unified, tmpfs, MsFlags::empty(), none).expect("mount a tmpfs of its own");
    }
}
