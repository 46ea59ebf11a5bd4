//! What is in a node's root directory before its first process is.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Place;
use crate::error::{Result, file};
use crate::plan::{Node, Plan};

const DIRECTORIES: [(&str, u32); 17] = [
    ("", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/local/bin", 0o755),
    ("var/lib", 0o755),
    ("var/lib/skiff", 0o700),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

pub fn prepare(place: &Place, plan: &Plan, node: &Node) -> Result<()> {
    let (root, log) = (place.root(&node.name), place.node_log(&node.name));
    for (name, mode) in DIRECTORIES {
        let dir = root.join(name);
        fs::create_dir_all(&dir).map_err(file("create", &dir))?;
        fs::set_permissions(&dir, Permissions::from_mode(mode)).map_err(file("change", &dir))?;
    }
    if let Some(logs) = log.parent() {
        fs::create_dir_all(logs).map_err(file("create", logs))?;
    }
    // That of the start before is kept, and none before it.
    match fs::rename(&log, log.with_extension("log.old")) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        renamed => renamed.map_err(file("rename", &log))?,
    }
    let etc = root.join("etc");
    write(&etc, "hostname", &format!("{}\n", node.name))?;
    write(
        &etc,
        "hosts",
        &format!("127.0.0.1 localhost {}\n::1 localhost\n", node.name),
    )?;
    write(&etc, "resolv.conf", &resolv_conf(plan))?;
    write(
        &etc,
        "passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    write(&etc, "group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n")?;
    let version = env!("CARGO_PKG_VERSION");
    write(
        &etc,
        "os-release",
        &format!("ID=skiff\nPRETTY_NAME=\"skiff {version}\"\n"),
    )?;
    if !etc.join("machine-id").exists() {
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")
            .map_err(file("read", Path::new("/proc/sys/kernel/random/uuid")))?;
        write(&etc, "machine-id", &id.replace('-', ""))?;
    }
    Ok(())
}

/// Replaced by rename: a link that a pod put there leads nowhere.
fn write(dir: &Path, name: &str, text: &str) -> Result<()> {
    let (new, path) = (dir.join(format!("{name}.new")), dir.join(name));
    let _ = fs::remove_file(&new);
    fs::write(&new, text).map_err(file("write", &new))?;
    fs::rename(&new, &path).map_err(file("replace", &path))
}

/// Names are asked of the nodes' gateway, which asks for them as this machine does.
fn resolv_conf(plan: &Plan) -> String {
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let search = match &plan.dns_search {
        Some(domains) => domains.join(" "),
        None => host
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("search "))
            .unwrap_or_default()
            .to_owned(),
    };
    let gateway = plan.node_range().hosts().next();
    let mut text = String::new();
    if let Some(gateway) = gateway {
        let _ = writeln!(text, "nameserver {gateway}");
    }
    if !search.trim().is_empty() {
        let _ = writeln!(text, "search {}", search.trim());
    }
    text
}
