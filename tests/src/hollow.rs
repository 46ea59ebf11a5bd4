//! `skiff hollow-nodes`: nodes that run pods in name only.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::machine::Machine;
use crate::skiff::{self, Skiff};

/// Hollow nodes of the cluster of a server on its machine; killed when dropped.
pub struct HollowNodes {
    child: Child,
    log: PathBuf,
}

impl HollowNodes {
    /// Pods that may end do so after a second.
    pub fn start(machine: &Machine, server: &Skiff<'_>, count: usize) -> Self {
        Self::named("hollow-", machine, server, count)
    }

    /// Nodes whose names begin with `prefix`, for clusters with several sets.
    pub fn named(prefix: &str, machine: &Machine, server: &Skiff<'_>, count: usize) -> Self {
        let log = server.dir.with_extension("hollow");
        let out = File::create(&log).expect("create a log");
        let error = out.try_clone().expect("clone a descriptor");
        let mut command = machine.command(skiff::binary());
        command.args(["hollow-nodes", &count.to_string(), "--finish-after", "1"]);
        command.args(["--name-prefix", prefix]);
        command.env("KUBECONFIG", server.dir.join("admin.kubeconfig"));
        command.stdin(Stdio::null()).stdout(out).stderr(error);
        let child = command.spawn().expect("nsenter is installed");
        Self { child, log }
    }
}

impl Drop for HollowNodes {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            println!("--- the hollow nodes' log\n{log}");
        }
        let _ = std::fs::remove_file(&self.log);
    }
}
