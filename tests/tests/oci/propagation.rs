//! What of mounts is seen on the other side: of the container's in the host, and of the host's in the container.

use std::fs;

use nix::mount::{MsFlags, mount};

use crate::harness::{Ground, cases};
use crate::mounts::{options_of, set_propagation, tmpfs_at, volume};

cases! {
    propagation_of_a_mount_is_private (Crun: "leaves it to rootfsPropagation");
    propagation_of_a_mount_is_slave (Crun: "leaves it to rootfsPropagation");
    propagation_of_a_mount_is_shared;
    propagation_of_a_mount_is_unbindable (Crun: "leaves it to rootfsPropagation");
    rootfs_propagation_is_slave (Crun: "binds the root before, and then anew");
    rootfs_propagation_is_shared (Runc: "makes its parent private, and so itself");
    rootfs_propagation_is_private;
    rootfs_propagation_of_another_word_is_refused (Crun: "takes it for the default");
    mounts_of_the_container_are_not_seen_outside;
}

/// What the container sees of a mount whose other side is shared with the host.
fn tags(g: &Ground, option: &str) -> String {
    let bundle = g.bundle();
    let dir = bundle.volume("v");
    tmpfs_at(&dir);
    set_propagation(&dir, MsFlags::MS_SHARED);
    let bundle = bundle.set("/linux/rootfsPropagation", "rshared");
    let options: Vec<&str> = ["rbind", option].into_iter().filter(|word| !word.is_empty()).collect();
    let line = options_of(bundle.mount("/mnt", "bind", &dir, &options), "/mnt");
    nix::mount::umount(&dir).expect("unmount");
    line
}

fn propagation_of_a_mount_is_private(g: &Ground) {
    let line = tags(g, "rprivate");
    assert!(!line.contains("shared:") && !line.contains("master:"), "{line}");
}

fn propagation_of_a_mount_is_slave(g: &Ground) {
    let line = tags(g, "rslave");
    assert!(line.contains("master:") && !line.contains("shared:"), "{line}");
}

fn propagation_of_a_mount_is_shared(g: &Ground) {
    let line = tags(g, "rshared");
    assert!(line.contains("shared:"), "{line}");
}

fn propagation_of_a_mount_is_unbindable(g: &Ground) {
    let line = options_of(g.bundle().mount("/t", "tmpfs", "tmpfs", &["unbindable"]), "/t");
    assert!(line.contains("unbindable"), "{line}");
}

/// What the container sees of its root, when the mount that holds it is shared.
fn root_tags(g: &Ground, propagation: &str) -> String {
    let bundle = g.bundle();
    let root = bundle.rootfs();
    let (path, none) = (Some(root.as_path()), None::<&str>);
    mount(path, &root, none, MsFlags::MS_BIND, none).expect("bind");
    set_propagation(&root, MsFlags::MS_SHARED);
    let line = options_of(bundle.set("/linux/rootfsPropagation", propagation), "/");
    nix::mount::umount2(&root, nix::mount::MntFlags::MNT_DETACH).expect("unmount");
    line
}

fn rootfs_propagation_is_slave(g: &Ground) {
    let line = root_tags(g, "rslave");
    assert!(line.contains("master:") && !line.contains("shared:"), "{line}");
}

fn rootfs_propagation_is_shared(g: &Ground) {
    let line = options_of(g.bundle().set("/linux/rootfsPropagation", "rshared"), "/");
    assert!(line.contains("shared:"), "{line}");
}

fn rootfs_propagation_is_private(g: &Ground) {
    let line = root_tags(g, "rprivate");
    assert!(!line.contains("master:") && !line.contains("shared:"), "{line}");
}

fn rootfs_propagation_of_another_word_is_refused(g: &Ground) {
    g.bundle().set("/linux/rootfsPropagation", "sideways").is_refused();
}

fn mounts_of_the_container_are_not_seen_outside(g: &Ground) {
    let root = g.dir.join("shared");
    tmpfs_at(&root);
    set_propagation(&root, MsFlags::MS_SHARED);
    let bundle = g.bundle();
    let inner = volume(&bundle, "v");
    let bundle = bundle.bind(&root, "/mnt", &[]).mount("/mnt/deeper", "bind", inner, &["bind"]);
    bundle.sh("cat /mnt/deeper/file").run().prints("of v");
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").expect("mounts");
    assert!(!mounts.contains("/deeper"), "{mounts}");
    nix::mount::umount2(&root, nix::mount::MntFlags::MNT_DETACH).expect("unmount");
}
