//! An etcd of a test's own.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::Machine;

/// An etcd on a machine; killed when dropped.
pub struct Etcd {
    child: Child,
    pub url: String,
    dir: PathBuf,
}

impl Etcd {
    #[track_caller]
    pub fn on(machine: &Machine) -> Self {
        let dir = crate::skiff::new_dir();
        std::fs::create_dir_all(&dir).expect("make a directory");
        let url = format!("http://{}:2379", machine.ip);
        let log = File::create(dir.join("log")).expect("create etcd's log");
        let mut command = machine.command("etcd");
        command.arg("--data-dir").arg(dir.join("data"));
        command.args([
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
        ]);
        command.args(["--log-level", "error", "--logger", "zap"]);
        let out = log.try_clone().expect("clone a descriptor");
        command.stdin(Stdio::null()).stdout(out).stderr(log);
        let child = command.spawn().expect("nsenter is installed");
        Self { child, url, dir }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
