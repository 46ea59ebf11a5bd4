//! An etcd of a test's own: one member, or several that know each other.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Machine;

/// A member of an etcd on a machine; killed when dropped.
pub struct Etcd {
    child: Option<Child>,
    pub url: String,
    command: Command,
    dir: PathBuf,
}

impl Etcd {
    /// One alone.
    #[track_caller]
    pub fn on(machine: &Machine) -> Self {
        let mut members = Self::of_members(&[machine]);
        members.pop().expect("a member a machine")
    }

    /// One on each machine, which know each other.
    #[track_caller]
    pub fn of_members(machines: &[&Machine]) -> Vec<Self> {
        let peers = machines.iter().enumerate();
        let peers = peers.map(|(at, machine)| format!("m{at}={}", peer(machine)));
        let peers = peers.collect::<Vec<_>>().join(",");
        let machines = machines.iter().enumerate();
        let members = machines.map(|(at, machine)| Self::member(machine, at, &peers));
        let mut members: Vec<Self> = members.collect();
        for member in &mut members {
            member.start();
        }
        members
    }

    fn member(machine: &Machine, at: usize, peers: &str) -> Self {
        let dir = crate::skiff::new_dir();
        std::fs::create_dir_all(&dir).expect("make a directory");
        let url = format!("http://{}:2379", machine.ip);
        let peer = peer(machine);
        let log = File::create(dir.join("log")).expect("create etcd's log");
        let out = log.try_clone().expect("clone a descriptor");
        let mut command = machine.command("etcd");
        command.arg("--data-dir").arg(dir.join("data"));
        command.args(["--name", &format!("m{at}"), "--initial-cluster", peers]);
        for (flag, url) in [("client", &url), ("peer", &peer)] {
            command.args([&format!("--listen-{flag}-urls"), url]);
        }
        command.args(["--advertise-client-urls", &url]);
        command.args(["--initial-advertise-peer-urls", &peer]);
        command.args(["--log-level", "error", "--logger", "zap"]);
        command.stdin(Stdio::null()).stdout(out).stderr(log);
        Self {
            child: None,
            url,
            command,
            dir,
        }
    }

    /// Starts it (again) on the same data directory.
    #[track_caller]
    pub fn start(&mut self) {
        self.child = Some(self.command.spawn().expect("nsenter is installed"));
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let Some(child) = &self.child else { return };
        // nsenter execs the program, so its pid is etcd's.
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"));
        kill(pid, signal).expect("signal a process of our own");
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

fn peer(machine: &Machine) -> String {
    format!("http://{}:2380", machine.ip)
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
        let _ = std::fs::remove_dir(crate::skiff::base_dir(std::process::id()));
    }
}
