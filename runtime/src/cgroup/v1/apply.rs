//! The spec's resources as the files of v1.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources};

use super::{block_io, devices};
use crate::cgroup::{Group, write, write_if_there};
use crate::{Error, Result};

pub fn apply(group: &Group, resources: &LinuxResources) -> Result<()> {
    if resources.unified().as_ref().is_some_and(|u| !u.is_empty()) {
        return group.lacks("unified", "it is about cgroup v2, and this machine has v1");
    }
    let at = |controller| controller_of(group, controller);
    if let Some(cpu) = resources.cpu() {
        apply_cpu(group, cpu)?;
    }
    if let (Some(memory), Some(dir)) = (resources.memory(), at("memory")?) {
        apply_memory(&dir, memory)?;
    }
    if let Some(pids) = resources.pids() {
        let limit = match pids.limit() {
            limit if limit > 0 => limit.to_string(),
            _ => "max".into(),
        };
        write_to(at("pids")?, "pids.max", Some(limit))?;
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        let limit = || Some(huge.limit().to_string());
        let size = huge.page_size();
        let dir = at("hugetlb")?;
        write_to(
            dir.clone(),
            &format!("hugetlb.{size}.limit_in_bytes"),
            limit(),
        )?;
        // What is reserved counts too, from Linux 5.7 on.
        let reserved = format!("hugetlb.{size}.rsvd.limit_in_bytes");
        dir.map_or(Ok(()), |d| {
            write_if_there(&d.join(reserved), &huge.limit().to_string())
        })?;
    }
    if let Some(network) = resources.network() {
        apply_network(group, network)?;
    }
    for (device, limits) in resources.rdma().iter().flatten() {
        let line = crate::cgroup::rdma_line(device, limits);
        write_to(at("rdma")?, "rdma.max", Some(line))?;
    }
    if let Some(block_io) = resources.block_io() {
        block_io::apply(group, block_io)?;
    }
    if let (Some(rules), Some(dir)) = (resources.devices(), at("devices")?) {
        devices::apply(&dir, rules)?;
    }
    Ok(())
}

/// Where the controller is. A pod does without one that the machine lacks.
pub fn controller_of(group: &Group, controller: &str) -> Result<Option<PathBuf>> {
    match group.directory(controller) {
        Some(dir) => Ok(Some(dir)),
        None => {
            let why = "its controller is not mounted on this machine";
            group.lacks(controller, why).map(|()| None)
        }
    }
}

/// Writes a value that is asked for, where there is something to write it to.
fn write_to(dir: Option<PathBuf>, file: &str, value: Option<String>) -> Result<()> {
    match (dir, value) {
        (Some(dir), Some(value)) => write(&dir.join(file), &value),
        _ => Ok(()),
    }
}

fn apply_cpu(group: &Group, cpu: &LinuxCpu) -> Result<()> {
    let numbers = [
        (
            "cpu.shares",
            cpu.shares().filter(|s| *s > 0).map(|s| s.to_string()),
        ),
        ("cpu.idle", cpu.idle().map(|i| i.to_string())),
        (
            "cpu.rt_period_us",
            cpu.realtime_period()
                .filter(|p| *p > 0)
                .map(|p| p.to_string()),
        ),
        (
            "cpu.rt_runtime_us",
            cpu.realtime_runtime()
                .filter(|r| *r != 0)
                .map(|r| r.to_string()),
        ),
    ];
    let asks = |values: &[Option<String>]| values.iter().any(Option::is_some);
    let bandwidth = [
        cpu.period().filter(|p| *p > 0).map(|p| p.to_string()),
        cpu.quota().filter(|q| *q != 0).map(|q| q.to_string()),
        cpu.burst().map(|b| b.to_string()),
    ];
    let wanted = numbers.clone().map(|(_, value)| value);
    if asks(&wanted) || asks(&bandwidth) {
        let dir = controller_of(group, "cpu")?;
        for (file, value) in numbers {
            write_to(dir.clone(), file, value)?;
        }
        dir.map_or(Ok(()), |dir| apply_bandwidth(&dir, bandwidth))?;
    }
    let sets = [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())];
    for (file, set) in sets {
        if let Some(set) = set.as_ref().filter(|s| !s.is_empty()) {
            write_to(controller_of(group, "cpuset")?, file, Some(set.clone()))?;
        }
    }
    Ok(())
}

/// Each is refused where it does not fit the others' old values: of two orders one will do.
fn apply_bandwidth(dir: &Path, [period, quota, burst]: [Option<String>; 3]) -> Result<()> {
    let write = |file: &str, value: &Option<String>| match value {
        Some(value) => write(&dir.join(file), value),
        None => Ok(()),
    };
    let (first, second) = (("cpu.cfs_period_us", &period), ("cpu.cfs_quota_us", &quota));
    let is_burst_done = write("cpu.cfs_burst_us", &burst).is_ok();
    if write(first.0, first.1).is_ok() {
        write(second.0, second.1)?;
    } else {
        write(second.0, second.1)?;
        write(first.0, first.1)?;
    }
    if is_burst_done {
        return Ok(());
    }
    write("cpu.cfs_burst_us", &burst)
}

fn apply_memory(dir: &Path, memory: &LinuxMemory) -> Result<()> {
    if memory.check_before_update().unwrap_or(false) {
        check_usage(dir, memory)?;
    }
    apply_limits(dir, memory)?;
    let bytes = |n: Option<i64>| n.filter(|n| *n != 0).map(|n| n.to_string());
    let files = [
        ("memory.soft_limit_in_bytes", bytes(memory.reservation())),
        ("memory.kmem.tcp.limit_in_bytes", bytes(memory.kernel_tcp())),
        (
            "memory.swappiness",
            memory.swappiness().map(|s| s.to_string()),
        ),
        (
            "memory.oom_control",
            memory
                .disable_oom_killer()
                .filter(|d| *d)
                .map(|_| "1".into()),
        ),
    ];
    for (file, value) in files {
        write_to(Some(dir.to_owned()), file, value)?;
    }
    Ok(())
}

fn apply_limits(dir: &Path, memory: &LinuxMemory) -> Result<()> {
    let is_set = |n: &i64| *n != 0;
    let limit = memory.limit().filter(is_set);
    // Without a limit there is none for both together either.
    let swap = memory.swap().filter(is_set).or(limit.filter(|l| *l == -1));
    let limit = limit.map(|l| l.to_string());
    let swap = swap.map(|s| s.to_string());
    let (limit_file, swap_file) = (
        dir.join("memory.limit_in_bytes"),
        dir.join("memory.memsw.limit_in_bytes"),
    );
    // Not there without swap accounting.
    let write_swap = || {
        swap.as_ref()
            .map_or(Ok(()), |s| write_if_there(&swap_file, s))
    };
    let Some(limit) = limit else {
        return write_swap();
    };
    // Memory with swap may never be less than memory: raising goes the other way round.
    if write(&limit_file, &limit).is_err() {
        write_swap()?;
        write(&limit_file, &limit)?;
    }
    write_swap()
}

/// A limit below what is in use would have the kernel kill somebody.
fn check_usage(dir: &Path, memory: &LinuxMemory) -> Result<()> {
    let file = dir.join("memory.usage_in_bytes");
    let usage = crate::cgroup::stats::number(&file);
    match memory.limit().and_then(|l| u64::try_from(l).ok()) {
        Some(limit) if limit > 0 && limit < usage => Err(Error::Node {
            what: format!("rejecting memory limit {limit}: {usage} bytes are in use"),
        }),
        _ => Ok(()),
    }
}

fn apply_network(group: &Group, network: &LinuxNetwork) -> Result<()> {
    if let Some(class) = network.class_id().filter(|c| *c > 0) {
        let dir = controller_of(group, "net_cls")?;
        write_to(dir, "net_cls.classid", Some(class.to_string()))?;
    }
    for priority in network.priorities().iter().flatten() {
        let line = format!("{} {}", priority.name(), priority.priority());
        write_to(
            controller_of(group, "net_prio")?,
            "net_prio.ifpriomap",
            Some(line),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        dir
    }

    fn read(dir: &tempfile::TempDir, file: &str) -> String {
        std::fs::read_to_string(dir.path().join(file)).unwrap()
    }

    #[test]
    fn memory_of_the_spec_becomes_v1s_files() {
        let files = [
            "memory.limit_in_bytes",
            "memory.memsw.limit_in_bytes",
            "memory.soft_limit_in_bytes",
            "memory.swappiness",
            "memory.oom_control",
        ];
        let dir = directory(&files);
        let memory = r#"{"limit": 100, "swap": 200, "reservation": 50, "swappiness": 0, "disableOOMKiller": true}"#;
        apply_memory(dir.path(), &serde_json::from_str(memory).unwrap()).unwrap();
        assert_eq!(files.map(|f| read(&dir, f)), ["100", "200", "50", "0", "1"]);
    }

    #[test]
    fn no_limit_of_memory_is_none_with_swap_either() {
        let dir = directory(&["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]);
        let memory = serde_json::from_str(r#"{"limit": -1}"#).unwrap();
        apply_memory(dir.path(), &memory).unwrap();
        assert_eq!(read(&dir, "memory.memsw.limit_in_bytes"), "-1");
    }

    #[test]
    fn a_limit_below_the_use_is_refused_when_it_is_to_be_checked() {
        let dir = directory(&["memory.limit_in_bytes"]);
        std::fs::write(dir.path().join("memory.usage_in_bytes"), "1000\n").unwrap();
        let memory = |limit: i64| {
            let json = format!(r#"{{"limit": {limit}, "checkBeforeUpdate": true}}"#);
            apply_memory(dir.path(), &serde_json::from_str(&json).unwrap())
        };
        assert!(memory(999).is_err());
        memory(1000).unwrap();
    }
}
