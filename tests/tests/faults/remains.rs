//! What is left of a container.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::{Bundle, cgroups};

/// Everything there is of a bundle's container; `files` are those that were there before it.
pub fn of(bundle: &Bundle, files: &BTreeSet<PathBuf>) -> Vec<String> {
    let mut left = entries(&bundle.ground.root());
    left.extend(
        cgroups::named(&bundle.id)
            .iter()
            .map(|group| format!("group {}", group.display())),
    );
    left.extend(mounts(bundle));
    let new = files_of(bundle);
    left.extend(
        new.difference(files)
            .map(|file| format!("file {}", file.display())),
    );
    left.extend(
        files
            .difference(&new)
            .map(|file| format!("missing file {}", file.display())),
    );
    left.extend(processes(bundle));
    left
}

/// All files of the bundle, with what the container sees of them.
pub fn files_of(bundle: &Bundle) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    collect(&bundle.dir, &mut found);
    found
}

fn collect(dir: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), found);
        }
        found.insert(entry.path());
    }
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| format!("state {}", entry.path().display()))
        .collect()
}

fn mounts(bundle: &Bundle) -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo").expect("a thread has mounts");
    let own = text.lines().filter(|line| line.contains(&bundle.id));
    own.map(|line| format!("mount {line}")).collect()
}

/// Those that stay. What was killed takes some moments to end.
fn processes(bundle: &Bundle) -> Vec<String> {
    let mut left = processes_now(bundle);
    for _ in 0..3000 {
        if left.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        left = processes_now(bundle);
    }
    left
}

/// Processes that were called with the container's name, or see its root file system.
fn processes_now(bundle: &Bundle) -> Vec<String> {
    let own_mounts = fs::read_link("/proc/thread-self/ns/mnt").ok();
    let is_its = |dir: &Path| {
        let words = fs::read(dir.join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(&bundle.id) {
            return true;
        }
        let other = fs::read_link(dir.join("ns/mnt")).ok();
        let has_own = other.is_some() && other != own_mounts;
        has_own
            && fs::read_to_string(dir.join("mountinfo")).is_ok_and(|text| text.contains(&bundle.id))
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let dirs = entries.map(|entry| entry.path());
    let dirs = dirs.filter(|dir| {
        dir.file_name()
            .is_some_and(|name| name.to_string_lossy().parse::<u32>().is_ok())
    });
    dirs.filter_map(|dir| {
        let name = fs::read_to_string(dir.join("comm")).ok()?;
        // It sees to the end of what it traces, and ends then.
        let is_left = name.trim() != "strace" && is_its(&dir);
        is_left.then(|| format!("process {} {}", dir.display(), name.trim()))
    })
    .collect()
}
