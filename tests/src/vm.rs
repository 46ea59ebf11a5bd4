//! A Debian 12 machine of its own, with systemd and cgroup v2, emulated by QEMU.
//!
//! The image is made once and kept ([`crate::cache`]); a machine writes to a
//! throw-away layer above it. A script and its files go in as a second disk,
//! what the script prints comes out over a serial line.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cache::cached;
use crate::{run, skiff, sweep};

pub const PROGRAMS: &[&str] = &["qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "tar"];

/// Set it anew when the script below changes: the image is kept by this name.
const IMAGE: &str = "debian-12-vm-2";

/// Debian with its kernel for virtual machines, and a unit that runs what is on the second disk.
const MAKE: &str = r#"
set -eu
out=$0; work=$(mktemp -d -p /var/tmp); trap 'rm -rf "$work"' EXIT; cd "$work"
mmdebstrap --quiet --variant=minbase \
    --include=busybox-static,crun,dbus,iproute2,kmod,linux-image-cloud-amd64,nftables,procps,runc,systemd-sysv,udev,util-linux \
    bookworm root.tar
mkdir root
tar -C root -xf root.tar --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
    --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*'
mkdir "$out"
cp root/boot/vmlinuz-* "$out/vmlinuz"; cp root/boot/initrd.img-* "$out/initrd"; rm root/boot/*
cat >root/etc/systemd/system/work.service <<X
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir /work; mount -t tmpfs tmpfs /work; cd /work; tar -xf /dev/vdb; \
    sh ./script >/dev/ttyS1 2>&1; echo "ended with \$?" >/dev/ttyS1; poweroff -f'
[Install]
WantedBy=multi-user.target
X
units=root/etc/systemd/system
mkdir -p $units/multi-user.target.wants; ln -s ../work.service $units/multi-user.target.wants/
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@.service; do
    ln -sf /dev/null $units/$unit
done
echo machine >root/etc/hostname
truncate -s 2G "$out/disk"
mkfs.ext4 -q -F -O ^has_journal -d root "$out/disk"
"#;

/// Boots a machine, runs `script` in a directory with `files`, and returns what it printed.
/// It fails if the script does, or if all that takes longer than `limit`.
#[track_caller]
pub fn run(files: &[(&str, PathBuf)], script: &str, limit: Duration) -> String {
    let image = cached(IMAGE, |out| {
        run::ok(Command::new("sh").args(["-c", MAKE]).arg(out));
    });
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
    run::ok(
        Command::new("tar")
            .arg("-chf")
            .arg(&disk)
            .arg("-C")
            .arg(&tree)
            .arg("."),
    );
    disk
}

fn boot(image: &Path, disk: &Path, dir: &Path, limit: Duration) -> String {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "2G",
    ]);
    qemu.args(["-nodefaults", "-no-reboot", "-display", "none"]);
    qemu.arg("-kernel")
        .arg(image.join("vmlinuz"))
        .arg("-initrd")
        .arg(image.join("initrd"));
    qemu.args(["-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1"]);
    let drive =
        |path: &Path, rest: &str| format!("file={},format=raw,if=virtio,{rest}", path.display());
    qemu.arg("-drive")
        .arg(drive(&image.join("disk"), "snapshot=on"));
    qemu.arg("-drive").arg(drive(disk, "readonly=on"));
    let serial = |name: &str| format!("file:{}", dir.join(name).display());
    qemu.args(["-serial", &serial("boot"), "-serial", &serial("output")]);
    // Its throw-away layer; /tmp may be small.
    qemu.env("TMPDIR", "/var/tmp").stdin(Stdio::null());
    let mut machine = Machine(qemu.spawn().expect("start QEMU"));
    let end = Instant::now() + limit;
    while machine
        .0
        .try_wait()
        .expect("a child can be waited for")
        .is_none()
        && Instant::now() < end
    {
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(machine);
    std::fs::read_to_string(dir.join("output")).unwrap_or_default()
}

/// A machine that is switched off with this value.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
