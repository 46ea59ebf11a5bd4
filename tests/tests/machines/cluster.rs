//! The three machines, and how they become a cluster.

use std::path::Path;
use std::time::Instant;

use e2e::vm::Hardware;
use e2e::{Tap, Vm};

use crate::api::Api;

const SERVER: Hardware = Hardware {
    cpus: 1,
    mebibytes: 1024,
};
const NODE: Hardware = Hardware {
    cpus: 1,
    mebibytes: 768,
};

pub struct Cluster {
    pub server: Vm,
    pub nodes: [Vm; 2],
    started: Instant,
}

impl Cluster {
    /// Switches the machines on, and waits until they have booted.
    pub fn start(disks: (&Path, &Path, &Path), taps: &[Tap; 3]) -> Self {
        let cluster = Self {
            server: Vm::start("server", SERVER, disks, &taps[0]),
            nodes: [
                Vm::start("one", NODE, disks, &taps[1]),
                Vm::start("two", NODE, disks, &taps[2]),
            ],
            started: Instant::now(),
        };
        cluster.step("three machines boot");
        cluster.on_all(Vm::wait_boot);
        cluster
    }

    /// Says what comes now, and when.
    pub fn step(&self, what: &str) {
        println!("--- {:5.1} {what}", self.started.elapsed().as_secs_f64());
    }

    pub fn all(&self) -> [&Vm; 3] {
        [&self.server, &self.nodes[0], &self.nodes[1]]
    }

    pub fn on_all(&self, work: impl Fn(&Vm) + Sync) {
        at_once(&self.all(), work);
    }

    pub fn on_nodes(&self, work: impl Fn(&Vm) + Sync) {
        at_once(&self.nodes.each_ref(), work);
    }

    /// From machines that have the package to a cluster whose nodes are Ready.
    pub fn join(&self) -> Api {
        self.step("the server is installed");
        let ip = self.server.ip;
        self.server.ok(&format!(
            "skiff install server --advertise-address {ip} | tee /dev/shm/said\n\
             grep -q 'the Kubernetes API answers' /dev/shm/said"
        ));
        let token = self.server.ok("skiff token create");
        self.step("two nodes join by token");
        self.on_nodes(|node| {
            node.ok(&format!(
                "skiff install agent --server https://{ip}:6443 --token {} --eviction-hard '' --image-gc-high-threshold 100\n\
                 skiff image import busybox.tar",
                token.trim()
            ));
        });
        let api = Api::connect(&self.server);
        for node in &self.nodes {
            api.wait_node_ready(node.name);
        }
        api
    }
}

/// Has all machines do it, and waits for them.
fn at_once(machines: &[&Vm], work: impl Fn(&Vm) + Sync) {
    std::thread::scope(|scope| {
        for machine in machines {
            scope.spawn(|| work(machine));
        }
    });
}
