//! Is this machine one that skiff can run on? Asked before anything is made.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, bail};

/// A kernel feature that pods need, and where it shows.
struct Feature {
    name: &'static str,
    is_there: fn() -> bool,
    remedy: &'static str,
}

const FEATURES: &[Feature] = &[
    Feature {
        name: "overlay file systems",
        is_there: || has_filesystem("overlay"),
        remedy: "load the module: modprobe overlay",
    },
    Feature {
        name: "control groups",
        is_there: || {
            Path::new("/sys/fs/cgroup")
                .read_dir()
                .is_ok_and(|mut d| d.next().is_some())
        },
        remedy: "mount them on /sys/fs/cgroup (systemd does)",
    },
    Feature {
        name: "network namespaces",
        is_there: || Path::new("/proc/self/ns/net").exists(),
        remedy: "use a kernel with CONFIG_NET_NS",
    },
    Feature {
        name: "PID namespaces",
        is_there: || Path::new("/proc/self/ns/pid").exists(),
        remedy: "use a kernel with CONFIG_PID_NS",
    },
    Feature {
        name: "seccomp filters",
        is_there: || Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
        remedy: "use a kernel with CONFIG_SECCOMP_FILTER",
    },
];

/// A node needs all of the kernel's features and root.
pub fn check_node() -> anyhow::Result<()> {
    check_root()?;
    for feature in FEATURES {
        if !(feature.is_there)() {
            bail!("this kernel has no {}; {}", feature.name, feature.remedy);
        }
    }
    Ok(())
}

pub fn check_root() -> anyhow::Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    bail!("skiff must run as root to make namespaces, mounts and cgroups; try: sudo skiff ...")
}

/// Asked early, so that a used port is reported before anything is changed.
pub fn check_port(listen: SocketAddr, what: &str, flag: &str) -> anyhow::Result<()> {
    TcpListener::bind(listen).map(drop).with_context(|| {
        format!("cannot listen on {listen} for {what}; stop what uses it (see: ss -ltnp) or choose another {flag}")
    })
}

fn has_filesystem(name: &str) -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_known = known
        .lines()
        .any(|l| l.split_whitespace().last() == Some(name));
    // A module shows up there only once it is loaded.
    is_known || Path::new("/sys/module").join(name).exists() || load_module(name)
}

fn load_module(name: &str) -> bool {
    let loaded = std::process::Command::new("modprobe")
        .arg("-q")
        .arg(name)
        .status();
    loaded.is_ok_and(|status| status.success())
}
