//! Groups of cgroup v1: one directory in each hierarchy.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use super::{Group, Hierarchy, failed, write, write_if_there};
use crate::{Error, Result};

/// Makes `path` in one hierarchy, level by level.
pub fn create(hierarchy: &Hierarchy, path: &Path) -> Result<()> {
    let dir = hierarchy.mount.join(path);
    // The common case: only the last level is new.
    match make(hierarchy, &dir) {
        Err(Error::Path { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let mut level = hierarchy.mount.clone();
    for component in path.components() {
        level.push(component);
        make(hierarchy, &level)?;
    }
    Ok(())
}

fn make(hierarchy: &Hierarchy, dir: &Path) -> Result<()> {
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => made.map_err(|e| failed("make the cgroup", dir, e))?,
    }
    if hierarchy.controllers.iter().any(|c| c == "cpuset") {
        inherit(dir, "cpuset.cpus")?;
        inherit(dir, "cpuset.mems")?;
    }
    Ok(())
}

/// What the cpuset may use. A new one is empty and holds no process until told:
/// it takes over what its parent has. The parent may be as new, made by another
/// process that has not come to this yet, so it is seen to first; the root of
/// the hierarchy is never empty.
fn inherit(dir: &Path, file: &str) -> Result<String> {
    let path = dir.join(file);
    let own = fs::read_to_string(&path).map_err(|e| failed("read the cgroup file", &path, e))?;
    let own = own.trim();
    if !own.is_empty() {
        return Ok(own.to_owned());
    }
    let parent = dir
        .parent()
        .expect("a group is below its hierarchy's mount point");
    let inherited = inherit(parent, file)?;
    write(&path, &inherited)?;
    Ok(inherited)
}

pub fn apply(group: &Group, resources: &LinuxResources) -> Result<()> {
    cpu(group, resources)?;
    memory(group, resources)?;
    if let (Some(pids), Some(dir)) = (resources.pids(), group.directory("pids")) {
        let limit = if pids.limit() > 0 {
            pids.limit().to_string()
        } else {
            "max".into()
        };
        write(&dir.join("pids.max"), &limit)?;
    }
    for huge in resources.hugepage_limits().iter().flatten() {
        if let Some(dir) = group.directory("hugetlb") {
            let file = format!("hugetlb.{}.limit_in_bytes", huge.page_size());
            write_if_there(&dir.join(file), &huge.limit().to_string())?;
        }
    }
    if let (Some(devices), Some(dir)) = (resources.devices(), group.directory("devices")) {
        apply_devices(&dir, devices)?;
    }
    Ok(())
}

fn cpu(group: &Group, resources: &LinuxResources) -> Result<()> {
    let Some(cpu) = resources.cpu() else {
        return Ok(());
    };
    if let Some(dir) = group.directory("cpu") {
        // The period first: a quota is refused where it does not fit the old one.
        for (file, value) in [
            (
                "cpu.shares",
                cpu.shares().filter(|s| *s > 0).map(|s| s.to_string()),
            ),
            (
                "cpu.cfs_period_us",
                cpu.period().filter(|p| *p > 0).map(|p| p.to_string()),
            ),
            (
                "cpu.cfs_quota_us",
                cpu.quota().filter(|q| *q != 0).map(|q| q.to_string()),
            ),
        ] {
            value.map_or(Ok(()), |v| write_if_there(&dir.join(file), &v))?;
        }
    }
    if let Some(dir) = group.directory("cpuset") {
        for (file, value) in [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())] {
            let set = value.as_ref().filter(|v| !v.is_empty());
            set.map_or(Ok(()), |v| write(&dir.join(file), v))?;
        }
    }
    Ok(())
}

fn memory(group: &Group, resources: &LinuxResources) -> Result<()> {
    let (Some(memory), Some(dir)) = (resources.memory(), group.directory("memory")) else {
        return Ok(());
    };
    let limit = memory.limit().filter(|l| *l != 0);
    let swap = memory.swap().filter(|s| *s != 0);
    let (limit_file, swap_file) = (
        dir.join("memory.limit_in_bytes"),
        dir.join("memory.memsw.limit_in_bytes"),
    );
    let Some(limit) = limit else { return Ok(()) };
    // Memory with swap may never be less than memory: raising goes the other way round.
    if write(&limit_file, &limit.to_string()).is_err() {
        if let Some(swap) = swap {
            write_if_there(&swap_file, &swap.to_string())?;
        }
        write(&limit_file, &limit.to_string())?;
    }
    // Not there without swap accounting.
    swap.map_or(Ok(()), |s| write_if_there(&swap_file, &s.to_string()))
}

/// In the spec's order; each write is one rule.
fn apply_devices(dir: &Path, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    let open = |name: &str| {
        let path = dir.join(name);
        let file = fs::OpenOptions::new().write(true).open(&path);
        file.map_err(|e| failed("open the cgroup file", &path, e))
    };
    let (mut allow, mut deny) = (open("devices.allow")?, open("devices.deny")?);
    for rule in rules {
        let (file, name) = match rule.allow() {
            true => (&mut allow, "devices.allow"),
            false => (&mut deny, "devices.deny"),
        };
        let written = file.write_all(device_rule(rule).as_bytes());
        written.map_err(|e| failed("write the cgroup file", &dir.join(name), e))?;
    }
    Ok(())
}

/// `c 1:3 rwm`; `a` for all.
fn device_rule(rule: &LinuxDeviceCgroup) -> String {
    let kind = match rule.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::B => "b",
        LinuxDeviceType::C | LinuxDeviceType::U => "c",
        _ => return "a".into(),
    };
    let number = |n: Option<i64>| n.filter(|n| *n >= 0).map_or("*".into(), |n| n.to_string());
    let access = rule
        .access()
        .as_deref()
        .filter(|a| !a.is_empty())
        .unwrap_or("rwm");
    format!(
        "{kind} {}:{} {access}",
        number(rule.major()),
        number(rule.minor())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::LinuxDeviceCgroupBuilder;

    #[test]
    fn a_device_rule_names_any_number_by_a_star() {
        let rule = LinuxDeviceCgroupBuilder::default()
            .allow(true)
            .typ(LinuxDeviceType::C)
            .major(136i64);
        assert_eq!(device_rule(&rule.build().unwrap()), "c 136:* rwm");
    }

    #[test]
    fn a_cpuset_below_one_that_is_still_empty_is_filled_with_it() {
        let hierarchy = tempfile::tempdir().unwrap();
        let parent = hierarchy.path().join("kubepods");
        let pod = parent.join("pod");
        fs::create_dir_all(&pod).unwrap();
        for (dir, cpus) in [(hierarchy.path(), "0-1\n"), (&parent, "\n"), (&pod, "\n")] {
            fs::write(dir.join("cpuset.cpus"), cpus).unwrap();
        }
        assert_eq!(inherit(&pod, "cpuset.cpus").unwrap(), "0-1");
        for dir in [&parent, &pod] {
            let cpus = fs::read_to_string(dir.join("cpuset.cpus")).unwrap();
            assert_eq!(cpus.trim(), "0-1");
        }
    }

    #[test]
    fn a_rule_without_type_is_about_all_devices() {
        let rule = LinuxDeviceCgroupBuilder::default()
            .allow(false)
            .access("rwm");
        assert_eq!(device_rule(&rule.build().unwrap()), "a");
    }
}
