//! Small disks in memory for one skiff, which it may fill without touching the machine's.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::machine::Machine;
use crate::until;

/// A mount namespace with file systems of its own. It goes with this value, or a while after a
/// test that was killed.
pub struct Disks {
    holder: Child,
    ready: PathBuf,
}

impl Disks {
    /// Mounts a file system at each directory, with tmpfs(5) options such as `size=16m`.
    #[track_caller]
    pub fn new(dir: &Path, disks: &[(&str, &str)]) -> Self {
        let mut script = String::from("set -e\n");
        for (name, options) in disks {
            let path = dir.join(name);
            std::fs::create_dir_all(&path).expect("create a mount point");
            script += &format!(
                "mount -t tmpfs -o {options},mode=0700 disk {}\n",
                path.display()
            );
        }
        let ready = dir.with_extension("mounted");
        script += &format!("touch {}\nexec sleep 900\n", ready.display());
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
        let holder = holder.stdin(Stdio::null()).spawn();
        let disks = Self {
            holder: holder.expect("unshare is installed"),
            ready,
        };
        until("the disks are mounted", Duration::from_secs(60), || {
            disks.ready.exists().then_some(())
        });
        disks
    }

    /// A command that sees the disks, on the network of `machine`.
    pub fn command(&self, machine: &Machine, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = machine.command("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .arg("--")
            .arg(program);
        command
    }

    /// Where a file on the disks is for those who do not see them.
    pub fn path(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = std::fs::remove_file(&self.ready);
    }
}
