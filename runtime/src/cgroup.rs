//! The control groups of pods and containers, on cgroup v1, hybrid and v2.
//!
//! Files are written directly: attaching through `cgroup.procs` waits for an
//! RCU grace period (6-13 ms measured), a process that writes itself into v1's
//! `tasks` does not, nor does a clone into a v2 group. A controller the machine
//! lacks is left out. Only groups below our own root are ever made or removed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use oci_spec::runtime::{LinuxRdma, LinuxResources};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Stats};

mod freezer;
mod layout;
mod stats;
pub mod systemd;
mod v1;
mod v2;

pub use layout::{Hierarchy, Layout};

/// The groups of this node: the machine's hierarchies and our root in each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Groups {
    layout: Layout,
    root: PathBuf,
}

/// One group: the same path in every hierarchy.
#[derive(Debug, Clone)]
pub struct Group {
    layout: Layout,
    /// Below every hierarchy's mount point; of a pod's it begins with our root.
    path: PathBuf,
    missing: Missing,
}

/// What becomes of a limit that the machine cannot set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// A pod is run without it.
    Skipped,
    /// Who asked for it by an OCI spec is told.
    Refused,
}

/// What a kernel that does not say so has to delegate.
const DELEGATED: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";

/// Relative to the root, which `..` does not leave.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// Refuses what is empty, absolute, or climbs.
pub fn check_path(path: &Path) -> Result<()> {
    let is_plain = path.components().all(|c| matches!(c, Component::Normal(_)));
    if is_plain && path.components().next().is_some() {
        return Ok(());
    }
    let what = format!(
        "cgroup path {:?} must be relative, not empty, and without `..`",
        path.display()
    );
    Err(Error::Node { what })
}

impl Groups {
    pub fn detect(root: &Path) -> Result<Self> {
        let root = root.strip_prefix("/").unwrap_or(root).to_owned();
        check_path(&root)?;
        Ok(Self {
            layout: Layout::detect()?,
            root,
        })
    }

    pub fn pod(&self, parent: &Path) -> Group {
        self.group(parent)
    }

    pub fn container(&self, parent: &Path, id: &str) -> Group {
        self.group(&parent.join(id))
    }

    /// Where monitors live: outside of skiff's own service, so that stopping it spares them.
    pub fn monitors(&self) -> Group {
        self.group(Path::new("monitors"))
    }

    fn group(&self, path: &Path) -> Group {
        Group {
            layout: self.layout.clone(),
            path: self.root.join(path),
            missing: Missing::Skipped,
        }
    }

    /// Kills what is left in any of our groups, and removes them all.
    pub fn remove_all(&self) -> Result<()> {
        let everything = |layout: &Layout| Group {
            layout: layout.clone(),
            path: self.root.clone(),
            missing: Missing::Skipped,
        };
        everything(&self.layout).destroy()?;
        match &self.layout {
            Layout::V1 {
                unified: Some(mount),
                ..
            } => everything(&Layout::V2 {
                mount: mount.clone(),
            })
            .destroy(),
            _ => Ok(()),
        }
    }
}

impl Group {
    /// The group at `path` below every hierarchy's root, however the path is written.
    pub fn at(layout: Layout, path: &Path) -> Result<Self> {
        let path = clean(path);
        check_path(&path)?;
        Ok(Self {
            layout,
            path,
            missing: Missing::Refused,
        })
    }

    /// A group in this one.
    pub fn below(&self, path: &Path) -> Result<Self> {
        let path = clean(path);
        check_path(&path)?;
        Ok(Self {
            layout: self.layout.clone(),
            path: self.path.join(path),
            missing: self.missing,
        })
    }

    /// Makes the group and those above it. `Inner` groups hold groups, `Leaf` groups processes.
    pub fn create(&self) -> Result<()> {
        match &self.layout {
            Layout::V1 { hierarchies, .. } => hierarchies
                .iter()
                .try_for_each(|h| v1::create(h, &self.path)),
            Layout::V2 { mount } => v2::create(mount, &self.path),
        }
    }

    pub fn apply(&self, resources: &LinuxResources) -> Result<()> {
        match &self.layout {
            Layout::V1 { .. } => v1::apply(self, resources),
            Layout::V2 { mount } => v2::apply(self, &mount.join(&self.path), resources),
        }
    }

    /// Moves the calling process, which must have one thread, into the group.
    pub fn join(&self) -> Result<()> {
        match &self.layout {
            Layout::V1 { hierarchies, .. } => hierarchies
                .iter()
                .try_for_each(|h| write(&h.mount.join(&self.path).join("tasks"), "0")),
            Layout::V2 { mount } => write(&mount.join(&self.path).join("cgroup.procs"), "0"),
        }
    }

    /// On v2, what to clone a process into; on v1 the process joins by itself.
    pub fn clone_target(&self) -> Result<Option<fs::File>> {
        let Layout::V2 { mount } = &self.layout else {
            return Ok(None);
        };
        let dir = mount.join(&self.path);
        fs::File::open(&dir)
            .map(Some)
            .map_err(|e| failed("open the cgroup", &dir, e))
    }

    /// The group in the v2 hierarchy, where there is one at all; made if need be.
    pub fn unified(&self) -> Result<Option<fs::File>> {
        let (Layout::V2 { mount }
        | Layout::V1 {
            unified: Some(mount),
            ..
        }) = &self.layout
        else {
            return Ok(None);
        };
        let dir = mount.join(&self.path);
        if !dir.exists() {
            v2::create(mount, &self.path)?;
        }
        fs::File::open(&dir)
            .map(Some)
            .map_err(|e| failed("open the cgroup", &dir, e))
    }

    /// The group's directory in each hierarchy, with where containers expect it below `/sys/fs/cgroup`.
    pub fn directories(&self) -> Vec<(String, PathBuf)> {
        match &self.layout {
            Layout::V1 { hierarchies, .. } => hierarchies
                .iter()
                .map(|h| (h.name.clone(), h.mount.join(&self.path)))
                .collect(),
            Layout::V2 { mount } => vec![(String::new(), mount.join(&self.path))],
        }
    }

    pub fn is_v2(&self) -> bool {
        matches!(self.layout, Layout::V2 { .. })
    }

    /// On v2, gives the group to a user, who may then make groups of its own in it (cgroups(7), delegation).
    pub fn delegate(&self, uid: u32) -> Result<()> {
        let Layout::V2 { mount } = &self.layout else {
            return Ok(());
        };
        let dir = mount.join(&self.path);
        let listed = fs::read_to_string("/sys/kernel/cgroup/delegate");
        let listed = listed.unwrap_or_else(|_| DELEGATED.into());
        let files = listed.lines().map(|file| dir.join(file));
        for path in files.chain([dir.clone()]) {
            match std::os::unix::fs::chown(&path, Some(uid), None) {
                // Not all of them are in every group.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                owned => owned.map_err(|e| failed("delegate", &path, e))?,
            }
        }
        Ok(())
    }

    /// Refuses a group that somebody is in: it would be killed with the container.
    pub fn check_unused(&self) -> Result<()> {
        match self.processes()?.len() {
            0 => Ok(()),
            n => Err(Error::Node {
                what: format!(
                    "container's cgroup {} is not empty: {n} process(es) found",
                    self.path.display()
                ),
            }),
        }
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub fn stats(&self) -> Result<Stats> {
        stats::read(self)
    }

    /// How many processes of the group the kernel has killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let (controller, file) = if self.is_v2() {
            ("", "memory.events")
        } else {
            ("memory", "memory.oom_control")
        };
        let Some(dir) = self.directory(controller) else {
            return 0;
        };
        stats::keyed(&dir.join(file), "oom_kill")
    }

    /// Kills every process in the group and in groups below it, and removes them.
    pub fn destroy(&self) -> Result<()> {
        // Killing is asynchronous: a group is busy until its last process is reaped.
        let waits = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000];
        let mut tried = Ok(false);
        for wait in waits {
            // What fails is tried again like what is busy.
            tried = self.remove();
            if matches!(tried, Ok(true)) {
                return Ok(());
            }
            tried = self.kill_all().and(tried);
            std::thread::sleep(Duration::from_millis(wait));
        }
        tried?;
        let processes = self.processes()?;
        let what = format!(
            "cgroup {} is still busy with processes {processes:?}",
            self.path.display()
        );
        Err(Error::Node { what })
    }

    /// Sends SIGKILL to every process in the group and in groups below it.
    pub fn kill_all(&self) -> Result<()> {
        if let Layout::V2 { mount } = &self.layout {
            // Linux 5.14 on; it also gets those that fork meanwhile.
            if fs::write(mount.join(&self.path).join("cgroup.kill"), "1").is_ok() {
                return Ok(());
            }
        }
        for pid in self.processes()? {
            // It may have ended by itself.
            let _ = kill(pid, Signal::SIGKILL);
        }
        Ok(())
    }

    /// The processes in the group and in groups below it.
    ///
    /// # Errors
    /// Where a group that is there cannot be read: it is not empty because nobody was seen in it.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let mut pids = BTreeSet::new();
        for (_, dir) in self.directories() {
            for group in tree(&dir)? {
                let path = group.join("cgroup.procs");
                let procs = match fs::read_to_string(&path) {
                    Err(e) if is_gone(&e) => continue,
                    procs => procs.map_err(|e| failed("read the cgroup file", &path, e))?,
                };
                // 0: a process of another pid namespace; never signal "everyone".
                pids.extend(
                    procs
                        .lines()
                        .filter_map(|l| l.parse::<i32>().ok())
                        .filter(|p| *p > 1),
                );
            }
        }
        Ok(pids.into_iter().map(Pid::from_raw).collect())
    }

    /// Removes the group and those below it; says whether all are gone.
    ///
    /// # Errors
    /// The last one. All that can be removed is, whatever fails before.
    pub fn remove(&self) -> Result<bool> {
        let mut removed = Ok(true);
        for (_, dir) in self.directories() {
            removed = match (removed, remove(&dir)) {
                (_, Err(e)) | (Err(e), Ok(_)) => Err(e),
                (Ok(all), Ok(one)) => Ok(all && one),
            };
        }
        removed
    }

    /// A limit cannot be set: an error, unless it may be missing.
    fn lacks(&self, limit: &str, why: &str) -> Result<()> {
        match self.missing {
            Missing::Skipped => Ok(()),
            Missing::Refused => Err(Error::Node {
                what: format!("cannot set the {limit} limit of the cgroup: {why}"),
            }),
        }
    }

    /// The group's directory where `controller` is; on v2 any name will do.
    pub fn directory(&self, controller: &str) -> Option<PathBuf> {
        match &self.layout {
            Layout::V1 { hierarchies, .. } => {
                let hierarchy = hierarchies
                    .iter()
                    .find(|h| h.controllers.iter().any(|c| c == controller))?;
                Some(hierarchy.mount.join(&self.path))
            }
            Layout::V2 { mount } => Some(mount.join(&self.path)),
        }
    }
}

/// Removes a group and those below it; says whether all are gone.
fn remove(dir: &Path) -> Result<bool> {
    // The common case is a leaf that nobody is in.
    if remove_one(dir)? {
        return Ok(true);
    }
    let groups = tree(dir)?;
    groups
        .iter()
        .try_fold(true, |all, group| Ok(remove_one(group)? && all))
}

/// Says whether it is gone; one with processes or groups in it is not.
fn remove_one(dir: &Path) -> Result<bool> {
    match fs::remove_dir(dir) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(e) if e.raw_os_error() == Some(libc::EBUSY) => Ok(false),
        Err(e) => Err(failed("remove the cgroup", dir, e)),
    }
}

/// The directory and all below it, deepest first; empty where there is none.
fn tree(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let collected = collect(dir, &mut found);
    collected.map_err(|e| failed("list the cgroup", dir, e))?;
    Ok(found)
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(e) if is_gone(&e) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), found)?;
        }
    }
    found.push(dir.to_owned());
    Ok(())
}

/// A group may be removed while it is looked at: its open files tell so too.
fn is_gone(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ENODEV)
}

/// `mlx5_1 hca_handle=2 hca_object=2000`
fn rdma_line(device: &str, limits: &LinuxRdma) -> String {
    let mut line = device.to_owned();
    let limits = [
        ("hca_handle", limits.hca_handles()),
        ("hca_object", limits.hca_objects()),
    ];
    for (name, limit) in limits {
        line.extend(limit.map(|limit| format!(" {name}={limit}")));
    }
    line
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Path {
        what,
        path: path.to_owned(),
        source,
    }
}

fn write(path: &Path, value: &str) -> Result<()> {
    let open = fs::OpenOptions::new().write(true).open(path);
    open.and_then(|mut f| io::Write::write_all(&mut f, value.as_bytes()))
        .map_err(|e| failed("write the cgroup file", path, e))
}

/// As [`write`], where the kernel may be built without the file.
fn write_if_there(path: &Path, value: &str) -> Result<()> {
    match write(path, value) {
        Err(Error::Path { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
