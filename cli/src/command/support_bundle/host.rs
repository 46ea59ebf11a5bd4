//! The machine: what it is, what skiff made on it, what skiff said.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::archive::Archive;
use super::secrets;
use crate::instance::Instance;

const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of each service's log.
const LOG_LINES: &str = "10000";
/// Files and cgroups that are listed, at most.
const LISTED: usize = 20_000;

const FILES: [(&str, &str); 8] = [
    ("/etc/os-release", "host/os-release"),
    ("/proc/version", "host/kernel"),
    ("/proc/meminfo", "host/meminfo"),
    ("/proc/loadavg", "host/loadavg"),
    ("/proc/uptime", "host/uptime"),
    ("/proc/pressure/memory", "host/pressure-memory"),
    ("/proc/self/mountinfo", "host/mounts"),
    ("/proc/cgroups", "host/cgroups"),
];

const COMMANDS: [(&str, &[&str]); 9] = [
    ("host/df.txt", &["df", "-T", "-a", "--block-size=1"]),
    ("host/df-inodes.txt", &["df", "-i"]),
    ("network/addresses.txt", &["ip", "-details", "address"]),
    (
        "network/routes.txt",
        &["ip", "route", "show", "table", "all"],
    ),
    ("network/rules.txt", &["ip", "rule"]),
    (
        "network/nft.txt",
        &["nft", "--stateless", "list", "ruleset"],
    ),
    ("network/sockets.txt", &["ss", "-lntup"]),
    (
        "skiff/units.txt",
        &[
            "systemctl",
            "status",
            "--no-pager",
            "--full",
            "--lines=0",
            "skiff-server",
            "skiff-agent",
        ],
    ),
    (
        "logs/journal.txt",
        &[
            "journalctl",
            "--no-pager",
            "-o",
            "short-precise",
            "-n",
            LOG_LINES,
            "-u",
            "skiff-server",
            "-u",
            "skiff-agent",
        ],
    ),
];

pub async fn gather(archive: &mut Archive, instance: &Instance) {
    for (path, name) in FILES {
        // Not every kernel has every file.
        if let Ok(content) = std::fs::read(path) {
            archive.add(name, content);
        }
    }
    for (name, words) in COMMANDS {
        run(archive, name, words).await;
    }
    archive.add("skiff/processes.txt", processes());
    if let Ok(config) = std::fs::read_to_string("/etc/skiff/config.yaml") {
        archive.add("skiff/config.yaml", secrets::hide_in_config(&config));
    }
    archive.add("skiff/cgroups.txt", cgroups(instance));
    archive.add("skiff/files.txt", files(&instance.data_dir));
}

/// What a command prints; one that is not installed is not missed.
async fn run(archive: &mut Archive, name: &str, words: &[&str]) {
    let (program, args) = words.split_first().expect("every command has a name");
    let running = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PATIENCE, running).await {
        Ok(Ok(output)) => {
            let mut content = output.stdout;
            content.extend(output.stderr);
            archive.add(name, content);
        }
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
        Ok(Err(error)) => archive.missed(name, &format!("{program}: {error}")),
        Err(_) => archive.missed(name, &format!("{program} did not end in time")),
    }
}

/// The command lines of all skiffs that run here.
fn processes() -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let is_pid = pid.bytes().all(|byte| byte.is_ascii_digit());
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let args: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect();
        let program = args
            .first()
            .map(|program| program.rsplit('/').next().unwrap_or(program));
        if is_pid && program.is_some_and(|program| program.starts_with("skiff")) {
            let _ = writeln!(
                text,
                "{pid} {}",
                secrets::hide_in_args(&args).join(" ").trim_end()
            );
        }
    }
    text
}

/// What each of skiff's cgroups uses.
fn cgroups(instance: &Instance) -> String {
    let root = Path::new("/sys/fs/cgroup");
    let own = instance.cgroup_root.trim_start_matches('/');
    // With cgroup v1 each controller has a tree of its own.
    let mut roots = vec![root.join(own)];
    roots.extend(["memory", "pids"].map(|controller| root.join(controller).join(own)));
    let mut text = String::new();
    for dir in roots
        .iter()
        .flat_map(|root| walk(root))
        .filter(|path| path.is_dir())
    {
        let _ = write!(text, "{}", dir.display());
        for file in [
            "memory.current",
            "memory.max",
            "memory.usage_in_bytes",
            "pids.current",
            "memory.events",
        ] {
            if let Ok(value) = std::fs::read_to_string(dir.join(file)) {
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                let _ = write!(text, " {file}={value}");
            }
        }
        text.push('\n');
    }
    text
}

/// Names and sizes of what skiff keeps; none of it is read.
fn files(dir: &Path) -> String {
    let mut text = String::new();
    for path in walk(dir) {
        if let Ok(found) = path.symlink_metadata() {
            let _ = writeln!(text, "{}\t{}", found.len(), path.display());
        }
    }
    text
}

/// A directory and what is below it, on the same file system.
fn walk(root: &Path) -> Vec<std::path::PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| path.symlink_metadata().ok().map(|found| found.dev());
    let on = device(root);
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        if device(&path) != on || on.is_none() || found.len() >= LISTED {
            continue;
        }
        // Images' and containers' own files are many, and not skiff's.
        let is_content = path.ends_with("layers") || path.ends_with("rootfs");
        if path.is_dir() && !path.is_symlink() && !is_content {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(entries.map(|entry| entry.path()));
        }
        found.push(path);
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_by_name_and_size_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pki")).unwrap();
        std::fs::write(dir.path().join("pki/ca.key"), "hunter2").unwrap();
        let listed = files(dir.path());
        assert!(
            listed.contains(&format!("7\t{}/pki/ca.key", dir.path().display())),
            "{listed}"
        );
        assert!(!listed.contains("hunter2"));
    }

    #[test]
    fn what_is_not_there_has_no_files() {
        assert_eq!(files(Path::new("/nonexistent/skiff")), "");
    }
}
