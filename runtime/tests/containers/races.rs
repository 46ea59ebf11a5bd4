//! Attacks that swap what a path names while a container is made.
//!
//! The attacker is another container of the pod, or a volume's other user: here a
//! thread that exchanges two names as fast as the kernel lets it. Whatever the
//! container's start then says, nothing of the host may be made, mounted on or changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use oci_spec::runtime::LinuxDeviceBuilder;
use oci_spec::runtime::LinuxDeviceType;
use runtime::defaults::bind;
use runtime::{ContainerConfig, Error, Sandbox};

use crate::node::{self, Node, id, wait_for};

/// How often a container is started under attack. The code below it is raced
/// thousands of times a second in the crate's own tests.
const ROUNDS: usize = 60;

/// Exchanges two names until it is stopped.
struct Attacker {
    is_over: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Attacker {
    fn swap(one: PathBuf, other: PathBuf) -> Self {
        let (is_over, swaps) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (over, count) = (is_over.clone(), swaps.clone());
        let attack = move || {
            while !over.load(Ordering::Relaxed) {
                let exchange = RenameFlags::RENAME_EXCHANGE;
                if renameat2(AT_FDCWD, &one, AT_FDCWD, &other, exchange).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        Self {
            is_over,
            swaps,
            thread: Some(std::thread::spawn(attack)),
        }
    }

    /// How often it has swapped.
    fn stop(mut self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.swaps.load(Ordering::Relaxed)
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// A directory of the host that no container is to reach.
fn make_outside(node: &Node) -> PathBuf {
    let outside = node.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "the host's").unwrap();
    outside
}

/// Nothing in it was made, changed, or mounted on.
fn assert_untouched(outside: &Path) {
    let names: Vec<_> = fs::read_dir(outside)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["file"]);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"the host's");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(outside.to_str().unwrap()), "{mounts}");
}

/// Starts the container again and again; says how often it did start.
async fn start_all(
    sandbox: &Sandbox,
    outside: &Path,
    make: impl Fn(&str) -> ContainerConfig,
) -> usize {
    let mut started = 0;
    let mut events = sandbox.events().await.unwrap();
    for round in 0..ROUNDS {
        let name = format!("c{round}");
        match sandbox.start(make(&name)).await {
            Ok(_) => {
                started += 1;
                wait_for(&mut events, &id(&name)).await;
                sandbox.remove(&id(&name)).await.unwrap();
            }
            Err(Error::Create { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert_untouched(outside);
    }
    started
}

#[tokio::test]
async fn a_mount_point_in_a_volume_that_is_swapped_for_a_link_stays_inside() {
    let Some(node) = node::open() else { return };
    // CVE-2021-30465, CVE-2021-25741, CVE-2024-45310.
    let outside = make_outside(&node);
    let volume = node.path("volume");
    fs::create_dir_all(volume.join("place")).unwrap();
    symlink(&outside, volume.join("link")).unwrap();
    fs::create_dir(node.path("data")).unwrap();
    fs::write(node.path("data/mine"), "the container's").unwrap();
    let sandbox = node.sandbox().await;
    let attacker = Attacker::swap(volume.join("place"), volume.join("link"));
    let started = start_all(&sandbox, &outside, |name| {
        let mut container = node.shell(name, "true");
        let mounts = container.spec.mounts_mut().as_mut().unwrap();
        mounts.push(bind(&volume, "/volume", &["rbind"]));
        mounts.push(bind(&node.path("data"), "/volume/place", &["rbind"]));
        mounts.push(bind(
            &node.path("data"),
            "/volume/place/made/below",
            &["rbind"],
        ));
        mounts.push(bind(
            &node.path("data/mine"),
            "/volume/place/file",
            &["bind"],
        ));
        container
    });
    let started = started.await;
    assert!(attacker.stop() > 100, "there was no race");
    // Some rounds are won by the attacker's directory; it is only the link that is no way out.
    assert!(started <= ROUNDS);
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_console_that_is_swapped_for_a_link_is_never_the_hosts() {
    let Some(node) = node::open() else { return };
    // CVE-2025-52565: the terminal is bound over whatever /dev/console leads to.
    let outside = make_outside(&node);
    let dev = node.path("dev");
    fs::create_dir(&dev).unwrap();
    fs::create_dir(dev.join("pts")).unwrap();
    fs::write(dev.join("console"), "").unwrap();
    symlink(outside.join("file"), dev.join("other")).unwrap();
    let sandbox = node.sandbox().await;
    let attacker = Attacker::swap(dev.join("console"), dev.join("other"));
    let make = |name: &str| {
        let mut container = node.shell(name, "true");
        let process = container.spec.process_mut().as_mut().unwrap();
        process.set_terminal(Some(true));
        share_dev(&mut container, &dev);
        container
    };
    start_all(&sandbox, &outside, make).await;
    assert!(attacker.stop() > 100, "there was no race");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

/// The container's `/dev` is a volume that others can write to; `/dev/pts` is its own.
fn share_dev(container: &mut ContainerConfig, dev: &Path) {
    let mounts = container.spec.mounts_mut().as_mut().unwrap();
    mounts.retain(|m| {
        let at = m.destination();
        !at.starts_with("/dev") || at == Path::new("/dev/pts")
    });
    let pts = mounts
        .iter()
        .position(|m| m.destination() == Path::new("/dev/pts"));
    mounts.insert(pts.unwrap(), bind(dev, "/dev", &["rbind"]));
}

#[tokio::test]
async fn a_directory_of_devices_that_is_swapped_for_a_link_gets_none_of_the_hosts() {
    let Some(node) = node::open() else { return };
    // CVE-2026-41579: devices are made in, and modes changed of, what /dev/sub leads to.
    let outside = make_outside(&node);
    let dev = node.path("dev");
    for dir in ["pts", "sub"] {
        fs::create_dir_all(dev.join(dir)).unwrap();
    }
    symlink(&outside, dev.join("link")).unwrap();
    let sandbox = node.sandbox().await;
    let attacker = Attacker::swap(dev.join("sub"), dev.join("link"));
    let make = |name: &str| {
        let mut container = node.shell(name, "true");
        let device = LinuxDeviceBuilder::default()
            .path("/dev/sub/full")
            .typ(LinuxDeviceType::C)
            .major(1i64)
            .minor(7i64)
            .file_mode(0o666u32);
        let linux = container.spec.linux_mut().as_mut().unwrap();
        linux.set_devices(Some(vec![device.build().unwrap()]));
        share_dev(&mut container, &dev);
        container
    };
    start_all(&sandbox, &outside, make).await;
    assert!(attacker.stop() > 100, "there was no race");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_null_device_that_is_swapped_masks_nothing_by_a_file_of_the_hosts() {
    let Some(node) = node::open() else { return };
    // CVE-2025-31133: a masked path would be the attacker's file, to read and to write.
    let outside = make_outside(&node);
    let dev = node.path("dev");
    fs::create_dir_all(dev.join("pts")).unwrap();
    let null = nix::sys::stat::makedev(1, 3);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    let kind = nix::sys::stat::SFlag::S_IFCHR;
    nix::sys::stat::mknod(&dev.join("null"), kind, mode, null).unwrap();
    symlink(outside.join("file"), dev.join("link")).unwrap();
    let sandbox = node.sandbox().await;
    let attacker = Attacker::swap(dev.join("null"), dev.join("link"));
    let mut events = sandbox.events().await.unwrap();
    for round in 0..ROUNDS {
        let name = format!("c{round}");
        let mut container = node.shell(&name, "cat /proc/keys; echo changed > /proc/keys");
        share_dev(&mut container, &dev);
        match sandbox.start(container).await {
            Ok(_) => {
                wait_for(&mut events, &id(&name)).await;
                assert_eq!(node.log(&name), Vec::<String>::new());
                sandbox.remove(&id(&name)).await.unwrap();
            }
            Err(Error::Create { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert_untouched(&outside);
    }
    assert!(attacker.stop() > 100, "there was no race");
    sandbox.destroy().await.unwrap();
    node.close().await;
}
