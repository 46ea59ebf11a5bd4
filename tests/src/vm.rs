//! Debian 12 machines with systemd and cgroup v2, emulated by QEMU.
//!
//! [`run`] is for one machine that runs one script. [`Vm`] is one of several on
//! a [`crate::Network`], which does what it is told, and may be rebooted.

mod image;
mod machine;
mod qemu;
mod shell;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{run, skiff, sweep};

pub use image::made as image;
pub use machine::{Hardware, Vm, disk_of};
pub use shell::Answer;

pub const PROGRAMS: &[&str] = &[
    "qemu-system-x86_64",
    "mmdebstrap",
    "mkfs.ext4",
    "setpriv",
    "tar",
];

/// Shell function `snapshot`: all of a machine that skiff could change.
pub const SNAPSHOT: &str = include_str!("vm/snapshot.sh");

/// Boots a machine, runs `script` in a directory with `files`, and returns what it printed.
/// It fails if the script does, or if all that takes longer than `limit`.
#[track_caller]
pub fn run(files: &[(&str, PathBuf)], script: &str, limit: Duration) -> String {
    let image = image();
    let dir = scratch("disk");
    let disk = pack(&dir, files, script);
    let output = boot(&image, &disk, &dir, limit);
    let boot_log = std::fs::read_to_string(dir.join("boot")).unwrap_or_default();
    std::fs::remove_dir_all(&dir).expect("remove the disk");
    let last = output.trim_end().lines().last().unwrap_or_default();
    assert_eq!(
        last.trim(),
        "ended with 0",
        "{output}\nthe machine's console: {boot_log}"
    );
    output
}

/// An empty directory of this test's own, which the sweep finds if the test is killed.
pub fn scratch(name: &str) -> PathBuf {
    sweep::once();
    let dir = skiff::base_dir(std::process::id()).join(format!("vm.{name}"));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("create a directory of the test's own");
    dir
}

/// A tar archive, which is a disk as good as any.
fn pack(dir: &Path, files: &[(&str, PathBuf)], script: &str) -> PathBuf {
    let tree = dir.join("tree");
    std::fs::create_dir(&tree).expect("create a directory");
    std::fs::write(tree.join("script"), script).expect("write the script");
    for (name, path) in files {
        std::os::unix::fs::symlink(path, tree.join(name)).expect("link a file");
    }
    let disk = dir.join("disk");
    let mut tar = Command::new("tar");
    tar.arg("-chf").arg(&disk).arg("-C").arg(&tree).arg(".");
    run::ok(&mut tar);
    disk
}

fn boot(image: &Path, disk: &Path, dir: &Path, limit: Duration) -> String {
    let mut qemu = qemu::Qemu::new(image, 2, 2048, "");
    qemu.once().disk(disk, "readonly=on");
    qemu.line_into(&dir.join("boot"));
    qemu.line_into(&dir.join("output"));
    let mut machine = qemu.start();
    let end = Instant::now() + limit;
    while machine.is_on() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(machine);
    std::fs::read_to_string(dir.join("output")).unwrap_or_default()
}
