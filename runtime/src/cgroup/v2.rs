//! Groups of cgroup v2: one directory.

use std::fs;
use std::io;
use std::path::Path;

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::{failed, write, write_if_there};
use crate::Result;

mod devices;

/// Makes `path`, handing the controllers down to it from every level above.
pub fn create(mount: &Path, path: &Path) -> Result<()> {
    let mut level = mount.to_owned();
    for component in path.components() {
        hand_down(&level);
        level.push(component);
        match fs::create_dir(&level) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|e| failed("make the cgroup", &level, e))?,
        }
    }
    Ok(())
}

/// One by one: the machine may lack some, and one it lacks fails the whole line.
fn hand_down(level: &Path) {
    let has = |file| fs::read_to_string(level.join(file)).unwrap_or_default();
    let (available, given) = (has("cgroup.controllers"), has("cgroup.subtree_control"));
    for controller in ["cpu", "cpuset", "hugetlb", "io", "memory", "pids"] {
        let is_in = |list: &str| list.split_whitespace().any(|c| c == controller);
        if is_in(&available) && !is_in(&given) {
            // What cannot be limited is found out where a limit is set.
            let _ = write(
                &level.join("cgroup.subtree_control"),
                &format!("+{controller}"),
            );
        }
    }
}

pub fn apply(dir: &Path, resources: &LinuxResources) -> Result<()> {
    for (file, value) in values(resources) {
        write_if_there(&dir.join(file), &value)?;
    }
    match resources.devices() {
        Some(rules) => devices::apply(dir, rules),
        None => Ok(()),
    }
}

/// Which files get which values.
fn values(resources: &LinuxResources) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut set =
        |file: &str, value: Option<String>| values.extend(value.map(|v| (file.to_owned(), v)));
    if let Some(cpu) = resources.cpu() {
        set(
            "cpu.weight",
            cpu.shares()
                .filter(|s| *s > 0)
                .map(|s| weight(s).to_string()),
        );
        set("cpu.max", cpu_max(cpu));
        set("cpuset.cpus", cpu.cpus().clone().filter(|c| !c.is_empty()));
        set("cpuset.mems", cpu.mems().clone().filter(|c| !c.is_empty()));
    }
    if let Some(memory) = resources.memory() {
        set("memory.max", memory.limit().and_then(limit));
        set("memory.low", memory.reservation().and_then(limit));
        set("memory.swap.max", swap_max(memory));
    }
    if let Some(pids) = resources.pids() {
        set(
            "pids.max",
            Some(if pids.limit() > 0 {
                pids.limit().to_string()
            } else {
                "max".into()
            }),
        );
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        set(
            &format!("hugetlb.{}.max", huge.page_size()),
            Some(huge.limit().to_string()),
        );
    }
    for (file, value) in resources.unified().iter().flatten() {
        // Each is one file of the group and never a path.
        if crate::config::is_plain_name(file) {
            set(file, Some(value.clone()));
        }
    }
    values
}

fn limit(bytes: i64) -> Option<String> {
    match bytes {
        0 => None,
        -1 => Some("max".into()),
        n => Some(n.to_string()),
    }
}

/// OCI counts memory and swap together, v2 swap alone.
fn swap_max(memory: &LinuxMemory) -> Option<String> {
    match (memory.swap()?, memory.limit().unwrap_or(0)) {
        (0, _) => None,
        (-1, _) => Some("max".into()),
        (both, memory) if memory > 0 && both >= memory => Some((both - memory).to_string()),
        _ => None,
    }
}

fn cpu_max(cpu: &LinuxCpu) -> Option<String> {
    let period = cpu.period().filter(|p| *p > 0).unwrap_or(100_000);
    match cpu.quota().unwrap_or(0) {
        0 => None,
        quota if quota < 0 => Some(format!("max {period}")),
        quota => Some(format!("{quota} {period}")),
    }
}

/// Shares of 2..262144 as a weight of 1..10000 (KEP-2254).
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxCpuBuilder, LinuxMemoryBuilder, LinuxResourcesBuilder};

    #[test]
    fn weights_span_the_shares_kubernetes_uses() {
        assert_eq!([2, 102, 1024, 262_144].map(weight), [1, 4, 39, 10_000]);
    }

    #[test]
    fn limits_become_the_files_of_v2() {
        let cpu = LinuxCpuBuilder::default()
            .shares(1024u64)
            .quota(25_000)
            .period(100_000u64);
        let memory = LinuxMemoryBuilder::default().limit(1 << 26).swap(1 << 26);
        let resources = LinuxResourcesBuilder::default()
            .cpu(cpu.build().unwrap())
            .memory(memory.build().unwrap())
            .build()
            .unwrap();
        let expected = [
            ("cpu.weight", "39"),
            ("cpu.max", "25000 100000"),
            ("memory.max", "67108864"),
            ("memory.swap.max", "0"),
        ];
        assert_eq!(
            values(&resources),
            expected.map(|(f, v)| (f.to_owned(), v.to_owned()))
        );
    }

    #[test]
    fn a_unified_key_that_is_a_path_is_not_written() {
        let unified = std::collections::HashMap::from([("../../x".to_owned(), "1".to_owned())]);
        let resources = LinuxResourcesBuilder::default().unified(unified);
        assert_eq!(values(&resources.build().unwrap()), []);
    }
}
