//! Removing what tests that were killed left behind.

use std::path::Path;
use std::process::Command;
use std::sync::Once;

use crate::machine::{self, PREFIX};
use crate::skiff;

static SWEPT: Once = Once::new();

/// Resets the data directories and deletes the namespaces of test processes
/// that no longer run. Those of other running tests are left alone.
pub fn once() {
    SWEPT.call_once(|| {
        for pid in dead_tests("/var/tmp") {
            reset_all(pid);
            let _ = std::fs::remove_dir_all(skiff::base_dir(pid));
        }
        let namespaces = names_in("/run/netns");
        for name in namespaces.filter(|name| owner(name).is_some_and(is_dead)) {
            machine::delete(&name);
        }
    });
}

fn reset_all(pid: u32) {
    let base = skiff::base_dir(pid);
    for name in names_in(&base).filter(|name| name.ends_with(".clusters")) {
        delete_clusters(&base.join(name));
    }
    for name in names_in(&base).filter(|name| !name.contains('.')) {
        let dir = base.join(name);
        let _ = Command::new(skiff::binary())
            .args(["reset", "--yes", "--data-dir"])
            .arg(dir)
            .output();
    }
}

/// Clusters of the test's own (`skiff cluster`), which go on without it.
fn delete_clusters(dir: &Path) {
    for name in names_in(dir) {
        let _ = Command::new(skiff::binary())
            .args(["cluster", "delete", "--name", &name, "--clusters-dir"])
            .arg(dir)
            .env("KUBECONFIG", dir.join("kubeconfig"))
            .output();
    }
}

fn dead_tests(dir: &str) -> Vec<u32> {
    names_in(dir)
        .filter_map(|name| owner(&name))
        .filter(|pid| is_dead(*pid))
        .collect()
}

fn names_in(dir: impl AsRef<Path>) -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// The process id in a name such as `ske2e-123-4`.
fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(PREFIX)?.strip_prefix('-')?;
    rest.split('-').next()?.parse().ok()
}

fn is_dead(pid: u32) -> bool {
    !Path::new("/proc").join(pid.to_string()).exists()
}
