//! A cluster of a test's own, and what it may leave.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use e2e::{Kubectl, Machine, run};

use crate::THREE_MINUTES;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A cluster; dropped, it is deleted.
pub struct Cluster<'m> {
    pub machine: &'m Machine,
    pub dir: PathBuf,
    pub name: String,
}

impl<'m> Cluster<'m> {
    #[track_caller]
    pub fn create(machine: &'m Machine, config: &str) -> Self {
        let dir = e2e::skiff::new_dir().with_extension("clusters");
        let cluster = Self {
            machine,
            name: format!(
                "t{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            ),
            dir,
        };
        std::fs::create_dir_all(&cluster.dir).expect("create the test's directory");
        let file = cluster.dir.join("kind.yaml");
        std::fs::write(&file, config).expect("write the configuration");
        let file = file.display().to_string();
        let said = cluster.ok(&[
            "create",
            "--name",
            &cluster.name,
            "--config",
            &file,
            "--wait=3m",
        ]);
        println!("{said}");
        cluster
    }

    /// `skiff cluster ARGS`, on the machine.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.machine.command(e2e::skiff::binary());
        command.arg("cluster").args(args);
        command
            .env("SKIFF_CLUSTERS_DIR", &self.dir)
            .env("KUBECONFIG", self.kubeconfig());
        command
    }

    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        run::ok(&mut self.command(args))
    }

    /// With the name of the cluster.
    #[track_caller]
    pub fn named(&self, args: &[&str]) -> String {
        let name = ["--name", &self.name];
        self.ok(&[args, &name].concat())
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    pub fn kubectl(&self) -> Kubectl<'m> {
        Kubectl::new(self.machine, self.kubeconfig())
    }

    pub fn node(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    /// The process that runs it.
    pub fn supervisors(&self) -> Vec<i32> {
        processes(&|pid| {
            command_line(pid).contains("supervise") && command_line(pid).contains(&self.name)
        })
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self.dir.join(&self.name).join("logs");
            for entry in std::fs::read_dir(logs).into_iter().flatten().flatten() {
                let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                println!("--- {}\n{log}", entry.path().display());
            }
        }
        let deleted = run::output(&mut self.command(&["delete", "--name", &self.name]));
        if !deleted.status.success() {
            println!("delete: {}", String::from_utf8_lossy(&deleted.stderr));
        }
        let _ = std::fs::remove_dir_all(&self.dir);
        let _ = self.dir.parent().map(std::fs::remove_dir);
    }
}

pub fn processes(is_wanted: &dyn Fn(i32) -> bool) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc")
        .expect("list processes")
        .flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_wanted(*pid)).collect()
}

fn command_line(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

/// Control groups of this machine with `word` in their path.
pub fn groups(word: &str) -> Vec<PathBuf> {
    fn search(dir: &Path, depth: u8, word: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_dir && entry.file_name().to_string_lossy().contains(word) {
                found.push(entry.path());
            } else if is_dir && depth > 0 {
                search(&entry.path(), depth - 1, word, found);
            }
        }
    }
    let mut found = Vec::new();
    search(Path::new("/sys/fs/cgroup"), 1, word, &mut found);
    found
}

/// What a cluster could leave on the machine it is made on.
pub fn traces(machine: &Machine) -> String {
    let mut traces = String::new();
    for what in ["link", "addr", "route", "rule"] {
        let shown = run::ok(machine.command("ip").args(["-o", what]));
        // An address that is new is that only for a second.
        traces.push_str(&shown.replace(" tentative", ""));
    }
    let forwarding = "/proc/sys/net/ipv4/ip_forward";
    traces.push_str(&run::ok(machine.command("cat").arg(forwarding)));
    traces
}

pub fn mounts_with(word: &str) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("read the mounts");
    mounts
        .lines()
        .filter(|line| line.contains(word))
        .map(str::to_owned)
        .collect()
}

/// What answers HTTP at a port of the machine.
pub fn get(machine: &Machine, port: u16) -> String {
    let mut answer = String::new();
    machine.enter(|| {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            return;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
        let _ = stream.read_to_string(&mut answer);
    });
    answer
}

#[track_caller]
pub fn wait_ready(kubectl: &Kubectl<'_>, node: &str) {
    kubectl.wait(&["node", node], THREE_MINUTES, e2e::kubectl::is_ready);
}

/// Processes of the nodes, by their groups, and of the cluster, by their program.
pub fn processes_in(cluster: &Cluster<'_>) -> Vec<i32> {
    let dir = cluster.dir.join(&cluster.name);
    let group = format!("skiff-cluster-{}-", cluster.name);
    processes(&|pid| {
        let program = std::fs::read_link(format!("/proc/{pid}/exe"));
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        program.is_ok_and(|program| program.starts_with(&dir)) || groups.contains(&group)
    })
}
