//! Machines as network namespaces, joined by a bridge in a namespace of its own.

use std::fs::File;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};

use crate::run;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Names begin with this, the test's process id follows.
pub const PREFIX: &str = "ske2e";

/// The cable between machines: 198.18.0.0/24, of the range for benchmarks (RFC 2544).
pub struct Network {
    name: String,
    machines: u8,
}

/// One machine: its own interfaces, addresses, routes and ports.
pub struct Machine {
    name: String,
    pub ip: Ipv4Addr,
    cable: String,
}

/// Where an emulated machine's network card is plugged in, and the address that it is to have.
pub struct Tap {
    pub name: String,
    pub ip: Ipv4Addr,
    pub mac: String,
}

impl Network {
    pub fn new() -> Self {
        crate::sweep::once();
        let name = unique();
        ip(&["netns", "add", &name]);
        ip_in(&name, &["link", "add", "br0", "type", "bridge"]);
        ip_in(&name, &["link", "set", "br0", "up"]);
        Self { name, machines: 0 }
    }

    /// A new machine with an address of its own on this network.
    pub fn machine(&mut self) -> Machine {
        self.machines += 1;
        let machine = Machine {
            name: unique(),
            ip: Ipv4Addr::new(198, 18, 0, self.machines),
            cable: format!("m{}", self.machines),
        };
        ip(&["netns", "add", &machine.name]);
        ip_in(&machine.name, &["link", "set", "lo", "up"]);
        ip_in(
            &self.name,
            &[
                "link",
                "add",
                &machine.cable,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                &machine.name,
            ],
        );
        ip_in(
            &self.name,
            &["link", "set", &machine.cable, "master", "br0", "up"],
        );
        let address = format!("{}/24", machine.ip);
        ip_in(&machine.name, &["addr", "add", &address, "dev", "eth0"]);
        ip_in(&machine.name, &["link", "set", "eth0", "up"]);
        ip_in(
            &machine.name,
            &["route", "add", "default", "via", "198.18.0.254"],
        );
        machine
    }

    /// A place for an emulated machine, of whoever [enters](Network::enter) this network.
    pub fn tap(&mut self) -> Tap {
        self.machines += 1;
        let n = self.machines;
        let name = format!("t{n}");
        ip_in(&self.name, &["tuntap", "add", &name, "mode", "tap"]);
        ip_in(&self.name, &["link", "set", &name, "master", "br0", "up"]);
        Tap {
            name,
            ip: Ipv4Addr::new(198, 18, 0, n),
            mac: format!("52:54:00:12:34:{n:02x}"),
        }
    }

    /// Runs `work` in a thread in the midst of this network, as the machine that all others
    /// have for their router.
    pub fn enter(&self, work: impl FnOnce() + Send) {
        ip_in(&self.name, &["link", "set", "lo", "up"]);
        ip_in(
            &self.name,
            &["addr", "replace", "198.18.0.254/24", "dev", "br0"],
        );
        enter(&self.name, work);
    }

    /// Pulls the machine's cable.
    pub fn unplug(&self, machine: &Machine) {
        ip_in(&self.name, &["link", "set", &machine.cable, "down"]);
    }

    pub fn plug_in(&self, machine: &Machine) {
        ip_in(&self.name, &["link", "set", &machine.cable, "up"]);
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A machine alone on a network of its own.
    pub fn alone() -> (Network, Self) {
        let mut network = Network::new();
        let machine = network.machine();
        (network, machine)
    }

    /// A command that will run on this machine.
    ///
    /// `ip netns exec` would hide the machine's cgroups behind a fresh /sys.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg("--")
            .arg(program);
        command
    }

    /// Runs `work` in a thread that is on this machine's network.
    pub fn enter(&self, work: impl FnOnce() + Send) {
        enter(&self.name, work);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

fn enter(namespace: &str, work: impl FnOnce() + Send) {
    let namespace = File::open(format!("/run/netns/{namespace}")).expect("open a namespace");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("enter a namespace");
            work();
        });
    });
}

pub(crate) fn delete(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

fn unique() -> String {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}-{}-{n}", std::process::id())
}

#[track_caller]
fn ip(args: &[&str]) {
    run::ok(Command::new("ip").args(args));
}

#[track_caller]
fn ip_in(namespace: &str, args: &[&str]) {
    run::ok(Command::new("ip").args(["-n", namespace]).args(args));
}
