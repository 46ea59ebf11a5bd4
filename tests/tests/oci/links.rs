//! Links that lead out of a container, put where its runtime makes and mounts things, and swapped while it does.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde_json::json;

use crate::harness::case::is_brief;
use crate::harness::{Bundle, Ground, cases};

cases! {
    proc_that_is_a_link_is_refused;
    sys_that_is_a_link_is_refused;
    dev_that_is_a_link_does_not_lead_outside (Runc: "CVE-2026-41579", Crun: "CVE-2026-47766");
    dev_pts_that_is_a_link_does_not_lead_outside;
    mount_target_that_leads_outside_stays_inside;
    mount_target_of_a_file_that_leads_outside_makes_nothing;
    mount_targets_are_raced (Runc: "CVE-2024-45310");
    volume_that_holds_a_link_as_a_target_is_raced (Runc: "CVE-2024-45310");
    dev_null_that_is_a_link_masks_nothing_else;
    console_that_is_a_link_does_not_lead_outside;
    passwd_that_is_a_link_is_not_read_outside;
}

/// CVE-2019-19921, CVE-2023-27561.
fn proc_that_is_a_link_is_refused(g: &Ground) {
    let bundle = g.bundle();
    let proc = bundle.rootfs().join("proc");
    fs::remove_dir(&proc).expect("remove");
    fs::create_dir(bundle.rootfs().join("elsewhere")).expect("create");
    symlink("elsewhere", proc).expect("link");
    bundle.is_refused();
}

fn sys_that_is_a_link_is_refused(g: &Ground) {
    let bundle = g.bundle().mount("/sys", "sysfs", "sysfs", &["ro"]);
    let sys = bundle.rootfs().join("sys");
    fs::remove_dir(&sys).expect("remove");
    fs::create_dir(bundle.rootfs().join("elsewhere")).expect("create");
    symlink("elsewhere", sys).expect("link");
    bundle.is_refused();
}

/// CVE-2026-41579: nothing may be written to where the link leads outside.
fn dev_that_is_a_link_does_not_lead_outside(g: &Ground) {
    let outside = g.dir.join("outside");
    fs::create_dir(&outside).expect("create");
    for mounts_dev in [true, false] {
        let bundle = g.bundle();
        let dev = bundle.rootfs().join("dev");
        fs::remove_dir(&dev).expect("remove");
        symlink(&outside, dev).expect("link");
        let bundle = if mounts_dev { bundle } else { bundle.set("/mounts", json!([{ "destination": "/proc", "type": "proc", "source": "proc" }])) };
        bundle.run();
        assert!(is_empty(&outside), "something was made outside");
    }
    g.is_clean();
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).expect("it is there").next().is_none()
}

fn dev_pts_that_is_a_link_does_not_lead_outside(g: &Ground) {
    let outside = g.dir.join("outside");
    fs::create_dir(&outside).expect("create");
    let bundle = g.bundle();
    let volume = bundle.volume("v");
    symlink(&outside, volume.join("pts")).expect("link");
    symlink(outside.join("console"), volume.join("console")).expect("link");
    symlink(outside.join("ptmx"), volume.join("ptmx")).expect("link");
    // The volume takes the place of /dev, so that links of an attacker are where the runtime makes things.
    let bundle = bundle.set("/mounts/1", json!({ "destination": "/dev", "type": "bind", "source": volume, "options": ["bind"] }));
    bundle.run();
    assert!(is_empty(&outside), "something was made outside");
    g.is_clean();
}

fn mount_target_that_leads_outside_stays_inside(g: &Ground) {
    let outside = g.dir.join("outside");
    fs::create_dir(&outside).expect("create");
    let bundle = g.bundle();
    let volume = bundle.volume("v");
    fs::write(volume.join("file"), "v").expect("write");
    for (name, target) in [("a", outside.clone()), ("b", PathBuf::from(format!("../../../../../../../..{}", outside.display())))] {
        symlink(target, bundle.rootfs().join(name)).expect("link");
    }
    let bundle = bundle.bind(&volume, "/a", &[]).bind(&volume, "/b/deeper", &[]).sh("sleep 1000");
    bundle.create();
    assert!(is_empty(&outside), "something was mounted or made outside");
}

fn mount_target_of_a_file_that_leads_outside_makes_nothing(g: &Ground) {
    let outside = g.dir.join("outside");
    fs::create_dir(&outside).expect("create");
    let bundle = g.bundle();
    let file = bundle.volume("v").join("file");
    fs::write(&file, "v").expect("write");
    symlink(outside.join("made"), bundle.rootfs().join("link")).expect("link");
    bundle.bind(file, "/link", &[]).create();
    assert!(is_empty(&outside), "something was made outside");
}

/// Swaps, without end, `dir/swapped` between a directory and a link to `target`.
struct Swapper(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Swapper {
    fn start(dir: &Path, target: &Path) -> Self {
        let [swapped, link] = ["swapped", "link"].map(|name| dir.join(name));
        fs::create_dir_all(&swapped).expect("create");
        symlink(target, &link).expect("link");
        let goes_on = Arc::new(AtomicBool::new(true));
        let flag = goes_on.clone();
        let swap = move || {
            while flag.load(Ordering::Relaxed) {
                let exchange = RenameFlags::RENAME_EXCHANGE;
                renameat2(AT_FDCWD, &swapped, AT_FDCWD, &link, exchange).expect("exchange two names");
            }
        };
        Self(goes_on, Some(std::thread::spawn(swap)))
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        self.1.take().map(JoinHandle::join);
    }
}

/// How many mounts are made while an attacker swaps a part of their paths.
const ROUNDS: usize = 3000;
const MOUNTS: usize = 100;

/// Makes containers whose mounts go through a name that is swapped; nothing may be made or mounted outside.
fn race(g: &Ground, swapped_in: impl Fn(&Bundle) -> PathBuf, prefix: &str, more: impl Fn(Bundle<'_>) -> Bundle<'_>) {
    let outside = g.dir.join("outside");
    fs::create_dir(&outside).expect("create");
    let mut bundle = more(g.bundle());
    let volume = bundle.volume("source");
    fs::write(volume.join("file"), "x").expect("write");
    for number in 0..MOUNTS {
        let (source, name) = if number % 2 == 0 { (volume.clone(), "dir") } else { (volume.join("file"), "file") };
        bundle = bundle.bind(source, &format!("{prefix}/swapped/deep/{name}{number}"), &[]);
    }
    // What is mounted there must be what was configured, and not what an attacker put in its place.
    let bundle = bundle.sh("awk '$5 ~ \"/deep/\" && $4 !~ \"/source\" {print \"escaped\"}' /proc/self/mountinfo");
    let _swapper = Swapper::start(&swapped_in(&bundle), &outside);
    let rounds = if is_brief() { ROUNDS / 10 } else { ROUNDS };
    for _ in 0..rounds / MOUNTS {
        // It may fail, for what it wants to mount on is pulled away from under it.
        bundle.run().hides("escaped");
        assert!(is_empty(&outside), "something was made outside");
    }
}

/// CVE-2021-30465, CVE-2024-45310.
fn mount_targets_are_raced(g: &Ground) {
    race(g, |bundle| bundle.rootfs(), "", |bundle| bundle);
}

/// The same where the swapped name is in a volume that two containers share.
fn volume_that_holds_a_link_as_a_target_is_raced(g: &Ground) {
    race(g, |bundle| bundle.dir.join("shared"), "/shared", |bundle| {
        let shared = bundle.volume("shared");
        bundle.bind(shared, "/shared", &["rw"])
    });
}

fn dev_null_that_is_a_link_masks_nothing_else(g: &Ground) {
    let bundle = g.bundle();
    let volume = bundle.volume("v");
    symlink("/proc/sys/kernel/core_pattern", volume.join("null")).expect("link");
    let bundle = bundle.set("/mounts/1", json!({ "destination": "/dev", "type": "bind", "source": volume, "options": ["bind"] }));
    let masks = json!(["/proc/cpuinfo"]);
    let bundle = bundle.set("/linux/maskedPaths", masks).set("/linux/readonlyPaths", json!(["/proc/sys"]));
    let outcome = bundle.sh("head -c 1 /proc/cpuinfo; (echo x >/proc/cpuinfo) 2>/dev/null && echo written").run();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("readable");
    assert_ne!(pattern, "x\n");
    assert!(!outcome.succeeded() || outcome.stdout.trim() == "written" || outcome.stdout.is_empty(), "{outcome:?}");
}

/// CVE-2025-52565.
fn console_that_is_a_link_does_not_lead_outside(g: &Ground) {
    let outside = g.dir.join("outside");
    fs::write(&outside, "outside").expect("write");
    let bundle = g.bundle();
    let volume = bundle.volume("v");
    symlink(&outside, volume.join("console")).expect("link");
    let bundle = bundle.set("/mounts/1", json!({ "destination": "/dev", "type": "bind", "source": volume, "options": ["bind"] }));
    let bundle = bundle.set("/process/terminal", true).sh("cat /dev/console; sleep 1000");
    let socket = crate::harness::console::Socket::bind(g.dir.join("console"));
    bundle.create_with(&["--console-socket", socket.text()]);
    assert_eq!(fs::read_to_string(&outside).expect("kept"), "outside");
    let data = fs::symlink_metadata(&outside).expect("kept");
    assert!(data.is_file());
}

fn passwd_that_is_a_link_is_not_read_outside(g: &Ground) {
    let outside = g.dir.join("passwd");
    fs::write(&outside, "root:x:0:0:root:/outside:/bin/sh\n").expect("write");
    let bundle = g.bundle();
    let passwd = bundle.rootfs().join("etc/passwd");
    fs::remove_file(&passwd).expect("remove");
    symlink(&outside, passwd).expect("link");
    bundle.sh("echo home:$HOME").run().hides("/outside");
}
