//! Groups of cgroup v2: one directory.

use std::fs;
use std::io;
use std::path::Path;

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxResources};

use super::{Group, failed, write};
use crate::{Error, Result};

mod block_io;
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
    for controller in ["cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"] {
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

pub fn apply(group: &Group, dir: &Path, resources: &LinuxResources) -> Result<()> {
    if resources
        .network()
        .as_ref()
        .is_some_and(|n| *n != Default::default())
    {
        group.lacks(
            "network",
            "cgroup v2 has no classes and priorities of the network",
        )?;
    }
    if let Some(memory) = resources.memory() {
        check_usage(dir, memory)?;
    }
    let unified = resources.unified().iter().flatten();
    for (file, _) in unified.filter(|(file, _)| !crate::config::is_plain_name(file)) {
        group.lacks("unified", &format!("{file:?} is no name of a file"))?;
    }
    for (file, value) in values(dir, resources) {
        let path = dir.join(&file);
        if path.exists() {
            write(&path, &value)?;
        } else {
            group.lacks(&file, "this machine has no such file")?;
        }
    }
    match resources.devices() {
        Some(rules) => devices::apply(dir, rules),
        None => Ok(()),
    }
}

/// A limit below what is in use would have the kernel kill somebody.
fn check_usage(dir: &Path, memory: &LinuxMemory) -> Result<()> {
    if !memory.check_before_update().unwrap_or(false) {
        return Ok(());
    }
    let usage = super::stats::number(&dir.join("memory.current"));
    match memory.limit().and_then(|l| u64::try_from(l).ok()) {
        Some(limit) if limit > 0 && limit < usage => Err(Error::Node {
            what: format!("rejecting memory limit {limit}: {usage} bytes are in use"),
        }),
        _ => Ok(()),
    }
}

/// Which files get which values, in an order that the kernel takes.
fn values(dir: &Path, resources: &LinuxResources) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut set =
        |file: &str, value: Option<String>| values.extend(value.map(|v| (file.to_owned(), v)));
    if let Some(cpu) = resources.cpu() {
        let shares = cpu.shares().filter(|s| *s > 0);
        // An idle group has no weight.
        let is_idle = cpu.idle().is_some_and(|i| i != 0);
        set("cpu.idle", cpu.idle().map(|i| i.to_string()));
        set(
            "cpu.weight",
            shares.filter(|_| !is_idle).map(|s| weight(s).to_string()),
        );
        set("cpu.max", cpu_max(dir, cpu));
        set("cpu.max.burst", cpu.burst().map(|b| b.to_string()));
        set("cpuset.cpus", cpu.cpus().clone().filter(|c| !c.is_empty()));
        set("cpuset.mems", cpu.mems().clone().filter(|c| !c.is_empty()));
    }
    if let Some(memory) = resources.memory() {
        // Swap first: without a limit of memory there is room for both.
        set("memory.swap.max", swap_max(memory));
        set("memory.max", memory.limit().and_then(limit));
        set("memory.low", memory.reservation().and_then(limit));
    }
    if let Some(pids) = resources.pids() {
        let limit = match pids.limit() {
            limit if limit > 0 => limit.to_string(),
            _ => "max".into(),
        };
        set("pids.max", Some(limit));
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        let (size, limit) = (huge.page_size(), || Some(huge.limit().to_string()));
        set(&format!("hugetlb.{size}.max"), limit());
        let reserved = format!("hugetlb.{size}.rsvd.max");
        set(&reserved, limit().filter(|_| dir.join(&reserved).exists()));
    }
    for (device, limits) in resources.rdma().iter().flatten() {
        set("rdma.max", Some(super::rdma_line(device, limits)));
    }
    if let Some(io) = resources.block_io() {
        values.extend(block_io::values(dir, io));
    }
    let unified = resources.unified().iter().flatten();
    // Each is one file of the group and never a path.
    let unified = unified.filter(|(file, _)| crate::config::is_plain_name(file));
    values.extend(unified.map(|(file, value)| (file.clone(), value.clone())));
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
pub fn swap_max(memory: &LinuxMemory) -> Option<String> {
    match (memory.swap()?, memory.limit().unwrap_or(0)) {
        (0, _) => None,
        (-1, _) => Some("max".into()),
        (both, memory) if memory > 0 && both >= memory => Some((both - memory).to_string()),
        _ => None,
    }
}

/// A quota without a period keeps the one that is there, and the other way round.
fn cpu_max(dir: &Path, cpu: &LinuxCpu) -> Option<String> {
    let (quota, period) = (
        cpu.quota().filter(|q| *q != 0),
        cpu.period().filter(|p| *p > 0),
    );
    if quota.is_none() && period.is_none() {
        return None;
    }
    let now = fs::read_to_string(dir.join("cpu.max")).unwrap_or_default();
    let mut now = now.split_whitespace();
    let (quota_now, period_now) = (now.next().unwrap_or("max"), now.next().unwrap_or("100000"));
    let quota = match quota {
        None => quota_now.to_owned(),
        Some(quota) if quota < 0 => "max".into(),
        Some(quota) => quota.to_string(),
    };
    let period = period.map_or_else(|| period_now.to_owned(), |p| p.to_string());
    Some(format!("{quota} {period}"))
}

/// Shares of 2..262144 as a weight of 1..10000, so that the defaults of both, 1024
/// and 100, are the same (the formula that runc and crun have agreed on for Kubernetes).
pub fn weight(shares: u64) -> u64 {
    #[expect(clippy::cast_precision_loss, reason = "262144 at most")]
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 10000"
    )]
    let weight = (10f64.powf(exponent) - 1e-9).ceil() as u64;
    weight.clamp(1, 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxCpuBuilder, LinuxMemoryBuilder, LinuxResourcesBuilder};

    #[test]
    fn weights_span_the_shares_kubernetes_uses() {
        assert_eq!(
            [0, 2, 102, 512, 1024, 2048, 262_144, u64::MAX].map(weight),
            [1, 1, 17, 59, 100, 174, 10_000, 10_000]
        );
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
            ("cpu.weight", "100"),
            ("cpu.max", "25000 100000"),
            ("memory.swap.max", "0"),
            ("memory.max", "67108864"),
        ];
        assert_eq!(
            values(Path::new("/nonexistent"), &resources),
            expected.map(|(f, v)| (f.to_owned(), v.to_owned()))
        );
    }

    #[test]
    fn a_unified_key_that_is_a_path_is_not_written() {
        let unified = std::collections::HashMap::from([("../../x".to_owned(), "1".to_owned())]);
        let resources = LinuxResourcesBuilder::default().unified(unified);
        assert_eq!(
            values(Path::new("/nonexistent"), &resources.build().unwrap()),
            []
        );
    }
}
