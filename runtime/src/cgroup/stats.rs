//! What a group uses.

use std::fs;
use std::path::Path;

use super::Group;
use crate::{Error, Result, Stats};

pub fn read(group: &Group) -> Result<Stats> {
    let is_there = group.directories().iter().any(|(_, dir)| dir.exists());
    if !is_there {
        return Err(Error::Node {
            what: format!("there is no cgroup {}", group.path.display()),
        });
    }
    Ok(if group.is_v2() { v2(group) } else { v1(group) })
}

fn v1(group: &Group) -> Stats {
    let file = |controller, file| {
        group
            .directory(controller)
            .map(|d| d.join(file))
            .unwrap_or_default()
    };
    let stat = file("memory", "memory.stat");
    let usage = number(&file("memory", "memory.usage_in_bytes"));
    Stats {
        cpu_usage_ns: number(&file("cpuacct", "cpuacct.usage")),
        memory_usage_bytes: usage,
        memory_working_set_bytes: usage.saturating_sub(keyed(&stat, "total_inactive_file")),
        memory_rss_bytes: keyed(&stat, "total_rss"),
        page_faults: keyed(&stat, "total_pgfault"),
        major_page_faults: keyed(&stat, "total_pgmajfault"),
        pids: number(&file("pids", "pids.current")),
    }
}

fn v2(group: &Group) -> Stats {
    let file = |name| {
        group
            .directory("")
            .map(|d| d.join(name))
            .unwrap_or_default()
    };
    let stat = file("memory.stat");
    let usage = number(&file("memory.current"));
    Stats {
        cpu_usage_ns: keyed(&file("cpu.stat"), "usage_usec") * 1000,
        memory_usage_bytes: usage,
        memory_working_set_bytes: usage.saturating_sub(keyed(&stat, "inactive_file")),
        memory_rss_bytes: keyed(&stat, "anon"),
        page_faults: keyed(&stat, "pgfault"),
        major_page_faults: keyed(&stat, "pgmajfault"),
        pids: number(&file("pids.current")),
    }
}

/// The number in the file; 0 where the machine lacks the controller.
pub fn number(file: &Path) -> u64 {
    fs::read_to_string(file)
        .ok()
        .and_then(|n| n.trim().parse().ok())
        .unwrap_or(0)
}

/// The number after `key` in the file; 0 where there is none.
pub fn keyed(file: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let found = text
        .lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(' '));
    found.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}
