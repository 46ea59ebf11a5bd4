//! What this machine has and is.

use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Facts that stay the same while the machine runs.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub cpus: i64,
    pub memory_bytes: i64,
    pub machine_id: String,
    pub boot_id: String,
    pub kernel: String,
    pub os_image: String,
}

impl Machine {
    pub fn look() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            cpus: i64::try_from(cpus).unwrap_or(1),
            memory_bytes: memory("MemTotal").unwrap_or(0),
            machine_id: line("/etc/machine-id"),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            kernel: line("/proc/sys/kernel/osrelease"),
            os_image: os_image().unwrap_or_else(|| "Linux".to_owned()),
        }
    }
}

/// Go's names, which Kubernetes uses.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn line(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn os_image() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// A line of `/proc/meminfo`, in bytes.
pub fn memory(name: &str) -> Option<i64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<i64>()
            .ok()?
            * 1024,
    )
}

/// Room on a file system: size and what is free, in bytes and inodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    pub bytes: u64,
    pub bytes_free: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

pub fn room(path: &Path) -> Option<Room> {
    let found = statvfs(path).ok()?;
    let block = found.fragment_size();
    Some(Room {
        bytes: found.blocks() * block,
        bytes_free: found.blocks_available() * block,
        inodes: found.files(),
        inodes_free: found.files_available(),
    })
}

/// Process ids in use, of how many.
pub fn processes() -> Option<(u64, u64)> {
    let most = line("/proc/sys/kernel/pid_max").parse().ok()?;
    let load = line("/proc/loadavg");
    let used = load.split(' ').nth(3)?.split('/').nth(1)?.parse().ok()?;
    Some((used, most))
}
