//! `process_*`: what every Prometheus client tells of its process, read from
//! proc(5) when it is asked for.

use std::fs;

use crate::registry::{Collect, PROCESS};
use crate::text::{Kind, Labels, Text};

/// What proc(5) counts time in: a hundredth of a second, on every Linux.
const TICK: f64 = 0.01;

/// This process, and which version of Kubernetes it is (`kubernetes_build_info`).
pub struct Process {
    version: &'static str,
}

/// Adds the process to what is told by both servers and nodes.
pub fn tell(version: &'static str) {
    static PROCESS_OF: std::sync::OnceLock<Process> = std::sync::OnceLock::new();
    PROCESS.add(&[PROCESS_OF.get_or_init(|| Process { version })]);
    crate::rest_client::tell();
}

impl Collect for Process {
    fn name(&self) -> &'static str {
        "process_cpu_seconds_total"
    }

    fn collect(&self, text: &mut Text) {
        build(self.version, text);
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(times) = Times::of(&stat) {
            let help = "Total user and system CPU time spent in seconds.";
            let cpu = times.cpu as f64 * TICK;
            text.only("process_cpu_seconds_total", Kind::Counter, help, cpu);
            if let Some(booted) = booted() {
                let help = "Start time of the process since unix epoch in seconds.";
                let start = booted + times.start as f64 * TICK;
                text.only("process_start_time_seconds", Kind::Gauge, help, start);
            }
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        memory(&status, text);
        descriptors(text);
    }
}

fn build(version: &str, text: &mut Text) {
    let name = "kubernetes_build_info";
    let help = "A metric with a constant '1' value labeled by the version served.";
    text.head(name, Kind::Gauge, help);
    let (major, minor) = version
        .trim_start_matches('v')
        .split_once('.')
        .unwrap_or_default();
    let minor = minor.split('.').next().unwrap_or_default();
    let labels = [("git_version", version), ("major", major), ("minor", minor)];
    text.sample(name, &Labels::new(&labels), 1);
}

fn memory(status: &str, text: &mut Text) {
    let mut tell = |name, field, help| {
        if let Some(kib) = field_of(status, field) {
            text.only(name, Kind::Gauge, help, kib * 1024);
        }
    };
    let help = "Resident memory size in bytes.";
    tell("process_resident_memory_bytes", "VmRSS:", help);
    let help = "Virtual memory size in bytes.";
    tell("process_virtual_memory_bytes", "VmSize:", help);
    if let Some(threads) = field_of(status, "Threads:") {
        let help = "Threads of the process.";
        text.only("process_threads", Kind::Gauge, help, threads);
    }
}

fn descriptors(text: &mut Text) {
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        let open = open.count().saturating_sub(1);
        let help = "Number of open file descriptors.";
        text.only("process_open_fds", Kind::Gauge, help, open);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let most = most.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    if let Some(most) = most {
        let help = "Maximum number of open file descriptors.";
        text.only("process_max_fds", Kind::Gauge, help, most);
    }
}

fn field_of(status: &str, field: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// When the machine was started, in seconds since 1970.
fn booted() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    field_of(&stat, "btime").map(|seconds| seconds as f64)
}

/// Of /proc/self/stat, in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    cpu: u64,
    /// Since the machine was started.
    start: u64,
}

impl Times {
    fn of(stat: &str) -> Option<Self> {
        // The program's name may have spaces and parentheses in it.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            cpu: field(11)? + field(12)?,
            start: field(19)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_a_parenthesis() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 5 0 900 1 1";
        let wanted = Times {
            cpu: 42,
            start: 900,
        };
        assert_eq!(Times::of(stat), Some(wanted));
    }

    #[test]
    fn this_process_has_memory_files_and_a_version() {
        let mut text = Text::new();
        let process = Process {
            version: "v1.37.0+x",
        };
        process.collect(&mut text);
        for name in [
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_max_fds ",
            "process_start_time_seconds ",
            "kubernetes_build_info{git_version=\"v1.37.0+x\",major=\"1\",minor=\"37\"} 1",
        ] {
            assert!(text.as_str().contains(name), "{name}: {}", text.as_str());
        }
    }
}
