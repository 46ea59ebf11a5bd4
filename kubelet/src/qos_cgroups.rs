//! The share of CPU that each class of pods has as a whole.
//!
//! Guaranteed pods are groups beside `burstable` and `besteffort`; without
//! shares of their own, these two would weigh as much as any single pod.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::resources::cpu_shares;

/// Shares of what asked for nothing: the kernel's least.
const LEAST: u64 = 2;

/// Gives the two classes their shares, as far as their groups are there: what
/// burstable pods ask for together, in thousandths of a CPU, and nothing.
pub fn share(cgroup_root: &str, burstable_milli: i64) {
    let pods = Path::new(cgroup_root.trim_start_matches('/')).join("kubepods");
    for (class, shares) in [
        ("burstable", cpu_shares(burstable_milli)),
        ("besteffort", LEAST),
    ] {
        if let Err(e) = set(&pods.join(class), shares)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(class, "set the CPU share of a class of pods: {e}");
        }
    }
}

fn set(group: &Path, shares: u64) -> io::Result<()> {
    let unified = Path::new("/sys/fs/cgroup");
    if unified.join("cgroup.controllers").exists() {
        return fs::write(
            unified.join(group).join("cpu.weight"),
            weight(shares).to_string(),
        );
    }
    match controller() {
        Some(hierarchy) => fs::write(hierarchy.join(group).join("cpu.shares"), shares.to_string()),
        None => Ok(()),
    }
}

/// The cgroup v1 hierarchy of the `cpu` controller.
fn controller() -> Option<PathBuf> {
    let names = ["cpu", "cpu,cpuacct", "cpuacct,cpu"];
    let mut paths = names
        .iter()
        .map(|name| Path::new("/sys/fs/cgroup").join(name));
    paths.find(|path| path.join("cpu.shares").exists() || path.join("cgroup.procs").exists())
}

/// cgroup v2's 1 to 10,000 for v1's 2 to 262,144, as runtimes convert them.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_convert_to_weights_over_the_whole_range() {
        assert_eq!((weight(2), weight(1024), weight(262_144)), (1, 39, 10_000));
    }
}
