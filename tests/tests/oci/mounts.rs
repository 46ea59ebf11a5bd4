//! Mounts: every kind, option and propagation.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use serde_json::json;

use crate::harness::{Bundle, Ground, cases};

cases! {
    bind_shows_the_host_s_directory;
    bind_of_a_file_makes_its_target;
    bind_makes_missing_directories_on_the_way (Crun: "makes them sticky");
    bind_over_an_existing_file_keeps_it_below;
    bind_read_only_refuses_writes;
    bind_read_only_leaves_mounts_below_writable;
    bind_that_is_recursive_brings_mounts_below;
    bind_that_is_not_recursive_leaves_mounts_below;
    rro_makes_mounts_below_read_only;
    rro_refuses_writes_at_the_top;
    bind_with_nosuid_nodev_noexec;
    bind_of_a_missing_source_is_refused;
    bind_of_a_relative_source_is_taken_from_the_bundle;
    bind_without_a_type_is_one_by_its_option;
    bind_of_type_none_is_one;
    tmpfs_is_empty_and_writable;
    tmpfs_has_its_mode_size_and_owner;
    tmpfs_read_only_refuses_writes;
    tmpfs_has_the_mode_of_the_directory_below_it (Crun: "1.8 leaves 1777");
    tmpcopyup_copies_what_is_below;
    flags_are_seen_in_mountinfo;
    flags_are_undone_by_their_opposites (Crun: "keeps the first");
    times_of_access_are_set;
    option_that_is_unknown_goes_to_the_file_system_which_refuses_it;
    file_system_that_is_unknown_is_refused;
    proc_is_of_the_pid_namespace;
    proc_is_read_only_where_asked;
    sysfs_shows_the_network_namespace;
    mqueue_is_mounted;
    devpts_is_a_new_instance;
    shm_is_mounted;
    cgroup_is_mounted_read_only;
    cgroup_is_mounted_writable_with_a_namespace;
    order_is_that_of_the_list;
    mount_over_a_mount_hides_it;
    mount_on_a_file_of_a_directory_is_refused;
    relative_destination_is_taken_from_the_root (Runc: "1.1 warns and takes it");
    destination_with_dots_stays_in_the_root;
    destination_that_is_a_link_stays_in_the_root;
    destination_through_an_absolute_link_stays_in_the_root;
    read_only_root_refuses_writes_and_mounts_do_not;
    root_may_be_absolute;
    root_that_is_a_link_is_followed (Runc: "wants a path without links");
    overlay_is_mounted;
    a_hundred_mounts;
    id_mapped_bind_shows_other_owners (Runc: "1.1 knows no id-mapped mounts");
    cwd_on_a_mount_is_seen_through_it;
}

pub fn set_propagation(path: &Path, flag: MsFlags) {
    let none = None::<&str>;
    mount(none, path, none, flag, none).expect("change the propagation");
}

/// A volume with one file, named after itself.
pub fn volume(bundle: &Bundle, name: &str) -> std::path::PathBuf {
    let dir = bundle.volume(name);
    fs::write(dir.join("file"), format!("of {name}\n")).expect("write");
    dir
}

/// Mounts a tmpfs with one file at `path`, in this thread's own mounts.
pub fn tmpfs_at(path: &Path) {
    fs::create_dir_all(path).expect("create a mount point");
    let (source, none) = (Some("tmpfs"), None::<&str>);
    mount(source, path, source, MsFlags::empty(), none).expect("mount a tmpfs");
    fs::write(path.join("below"), "below").expect("write");
}

/// The options of the mount at `at`, as the container sees them: those of the mount, tags, those of the file system.
pub fn options_of(bundle: Bundle, at: &str) -> String {
    let script = format!("awk '$5 == \"{at}\"' /proc/self/mountinfo | tail -n 1");
    bundle.sh(&script).run().ok().stdout.trim().to_owned()
}

#[track_caller]
fn has(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.split([' ', ',']).any(|part| part == *word), "no {word} in {line}");
    }
}

#[track_caller]
fn has_not(line: &str, words: &[&str]) {
    for word in words {
        assert!(!line.split([' ', ',']).any(|part| part == *word), "{word} in {line}");
    }
}

fn bind_shows_the_host_s_directory(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    let bundle = bundle.bind(&dir, "/mnt", &["rw"]).sh("cat /mnt/file; echo new >/mnt/new");
    bundle.run().prints("of v");
    assert_eq!(fs::read_to_string(dir.join("new")).expect("written through"), "new\n");
}

fn bind_of_a_file_makes_its_target(g: &Ground) {
    let bundle = g.bundle();
    let file = volume(&bundle, "v").join("file");
    bundle.bind(file, "/etc/made/target", &[]).args(&["cat", "/etc/made/target"]).run().prints("of v");
}

fn bind_makes_missing_directories_on_the_way(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    let bundle = bundle.bind(dir, "/a/b/c/d", &[]).sh("cat /a/b/c/d/file; stat -c %a:%u /a/b/c");
    bundle.run().prints("of v\n755:0");
}

fn bind_over_an_existing_file_keeps_it_below(g: &Ground) {
    let bundle = g.bundle().file("/etc/thing", "below");
    let file = volume(&bundle, "v").join("file");
    let bundle = bundle.bind(file, "/etc/thing", &[]).args(&["cat", "/etc/thing"]);
    bundle.run().prints("of v");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("etc/thing")).expect("kept"), "below");
}

fn bind_read_only_refuses_writes(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    let bundle = bundle.bind(&dir, "/mnt", &["ro"]).sh("echo x >/mnt/file 2>/dev/null || echo refused");
    bundle.run().prints("refused");
    assert_eq!(fs::read_to_string(dir.join("file")).expect("kept"), "of v\n");
}

fn bind_read_only_leaves_mounts_below_writable(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    tmpfs_at(&dir.join("sub"));
    let script = "touch /mnt/x 2>/dev/null || echo refused; touch /mnt/sub/x && echo written";
    bundle.mount("/mnt", "bind", &dir, &["rbind", "ro"]).sh(script).run().prints("refused\nwritten");
    nix::mount::umount(&dir.join("sub")).expect("unmount");
}

fn bind_that_is_recursive_brings_mounts_below(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    tmpfs_at(&dir.join("sub"));
    bundle.mount("/mnt", "bind", &dir, &["rbind"]).args(&["cat", "/mnt/sub/below"]).run().prints("below");
    nix::mount::umount(&dir.join("sub")).expect("unmount");
}

fn bind_that_is_not_recursive_leaves_mounts_below(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    tmpfs_at(&dir.join("sub"));
    bundle.bind(&dir, "/mnt", &[]).args(&["ls", "/mnt/sub"]).run().prints("");
    nix::mount::umount(&dir.join("sub")).expect("unmount");
}

fn rro_makes_mounts_below_read_only(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    tmpfs_at(&dir.join("sub"));
    let script = "for at in /mnt /mnt/sub; do touch $at/x 2>/dev/null || echo refused; done";
    bundle.mount("/mnt", "bind", &dir, &["rbind", "rro"]).sh(script).run().prints("refused\nrefused");
    nix::mount::umount(&dir.join("sub")).expect("unmount");
}

fn rro_refuses_writes_at_the_top(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    let script = "touch /mnt/x 2>/dev/null || echo refused";
    bundle.mount("/mnt", "bind", &dir, &["rbind", "rro"]).sh(script).run().prints("refused");
}

fn bind_with_nosuid_nodev_noexec(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    let line = options_of(bundle.bind(dir, "/mnt", &["nosuid", "nodev", "noexec"]), "/mnt");
    has(&line, &["nosuid", "nodev", "noexec"]);
}

fn bind_of_a_missing_source_is_refused(g: &Ground) {
    g.bundle().bind("/no/such/source", "/mnt", &[]).is_refused().says("/no/such/source");
}

fn bind_of_a_relative_source_is_taken_from_the_bundle(g: &Ground) {
    let bundle = g.bundle();
    volume(&bundle, "v");
    bundle.bind("v", "/mnt", &[]).args(&["cat", "/mnt/file"]).run().prints("of v");
}

fn bind_without_a_type_is_one_by_its_option(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    let entry = json!({ "destination": "/mnt", "source": dir, "options": ["rbind", "ro"] });
    bundle.push("/mounts", entry).args(&["cat", "/mnt/file"]).run().prints("of v");
}

fn bind_of_type_none_is_one(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    bundle.mount("/mnt", "none", dir, &["bind"]).args(&["cat", "/mnt/file"]).run().prints("of v");
}

fn tmpfs_is_empty_and_writable(g: &Ground) {
    let bundle = g.bundle().mount("/home", "tmpfs", "tmpfs", &[]);
    let bundle = bundle.sh("ls -A /home; touch /home/x && ls /home");
    bundle.run().prints("x");
    assert!(!bundle.rootfs().join("home/x").exists());
}

fn tmpfs_has_its_mode_size_and_owner(g: &Ground) {
    let options = ["mode=0710", "size=64k", "uid=12", "gid=34"];
    let bundle = g.bundle().mount("/t", "tmpfs", "tmpfs", &options);
    let script = "stat -c %a:%u:%g /t; dd if=/dev/zero of=/t/x bs=1k count=100 2>/dev/null || stat -c %s /t/x";
    // The device is one that every container has.
    bundle.sh(script).run().prints("710:12:34\n65536");
}

fn tmpfs_read_only_refuses_writes(g: &Ground) {
    let bundle = g.bundle().mount("/t", "tmpfs", "tmpfs", &["ro"]);
    bundle.sh("touch /t/x 2>/dev/null || echo refused").run().prints("refused");
}

fn tmpfs_has_the_mode_of_the_directory_below_it(g: &Ground) {
    let bundle = g.bundle().mount("/secret", "tmpfs", "tmpfs", &[]);
    let dir = bundle.rootfs().join("secret");
    fs::create_dir(&dir).expect("create");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o750)).expect("chmod");
    bundle.args(&["stat", "-c", "%a", "/secret"]).run().prints("750");
}

fn tmpcopyup_copies_what_is_below(g: &Ground) {
    let bundle = g.bundle().file("/data/a/file", "from below").file("/data/other", "x");
    std::os::unix::fs::symlink("/no/where", bundle.rootfs().join("data/link")).expect("link");
    let bundle = bundle.mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let script = "cat /data/a/file; readlink /data/link; echo new >/data/other; mountpoint -q /data && echo mounted";
    let bundle = bundle.sh(&format!("{script} || grep -q ' /data ' /proc/self/mountinfo && echo mounted"));
    bundle.run().ok().shows("from below").shows("/no/where").shows("mounted");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("data/other")).expect("kept"), "x");
}

fn flags_are_seen_in_mountinfo(g: &Ground) {
    let options = ["nosuid", "nodev", "noexec", "sync", "noatime"];
    let line = options_of(g.bundle().mount("/t", "tmpfs", "tmpfs", &options), "/t");
    has(&line, &["nosuid", "nodev", "noexec", "sync", "noatime", "rw"]);
}

fn flags_are_undone_by_their_opposites(g: &Ground) {
    let options = ["ro", "nosuid", "nodev", "noexec", "rw", "suid", "dev", "exec"];
    let line = options_of(g.bundle().mount("/t", "tmpfs", "tmpfs", &options), "/t");
    has(&line, &["rw"]);
    has_not(&line, &["nosuid", "nodev", "noexec", "ro"]);
}

fn times_of_access_are_set(g: &Ground) {
    for (option, seen) in [("relatime", "relatime"), ("noatime", "noatime"), ("nodiratime", "nodiratime")] {
        let line = options_of(g.bundle().mount("/t", "tmpfs", "tmpfs", &[option]), "/t");
        has(&line, &[seen]);
    }
    let strict = options_of(g.bundle().mount("/t", "tmpfs", "tmpfs", &["strictatime"]), "/t");
    has_not(&strict, &["relatime", "noatime"]);
}

fn option_that_is_unknown_goes_to_the_file_system_which_refuses_it(g: &Ground) {
    g.bundle().mount("/t", "tmpfs", "tmpfs", &["no-such-option"]).is_refused();
}

fn file_system_that_is_unknown_is_refused(g: &Ground) {
    g.bundle().mount("/t", "no-such-fs", "x", &[]).is_refused();
}

fn proc_is_of_the_pid_namespace(g: &Ground) {
    g.bundle().sh("ls -d /proc/[0-9]*; true").run().ok().shows("/proc/1").hides(&format!("/proc/{}\n", std::process::id()));
}

fn proc_is_read_only_where_asked(g: &Ground) {
    let bundle = g.bundle().set("/mounts/0/options", json!(["ro", "nosuid", "nodev", "noexec"]));
    let line = options_of(bundle, "/proc");
    has(&line, &["ro", "nosuid", "nodev", "noexec"]);
}

fn sysfs_shows_the_network_namespace(g: &Ground) {
    let bundle = g.bundle().namespace("network").mount("/sys", "sysfs", "sysfs", &["ro", "nosuid"]);
    bundle.args(&["ls", "/sys/class/net"]).run().prints("lo");
}

fn mqueue_is_mounted(g: &Ground) {
    let bundle = g.bundle().mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
    has(&options_of(bundle, "/dev/mqueue"), &["mqueue", "nosuid", "noexec", "nodev"]);
}

fn devpts_is_a_new_instance(g: &Ground) {
    let bundle = g.bundle().sh("ls /dev/pts; stat -c %a /dev/pts/ptmx; readlink /dev/ptmx");
    bundle.run().ok().shows("ptmx").shows("666").shows("pts/ptmx");
}

fn shm_is_mounted(g: &Ground) {
    let bundle = g.bundle().mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=1m"]);
    bundle.sh("stat -c %a /dev/shm; touch /dev/shm/x && echo written").run().prints("1777\nwritten");
}

fn cgroup_is_mounted_read_only(g: &Ground) {
    let bundle = g.bundle().mount("/sys", "sysfs", "sysfs", &["ro"]);
    let bundle = bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]);
    let script = "ls /sys/fs/cgroup | head -n 1 | grep -q . && echo there; \
        cd /sys/fs/cgroup; [ -d pids ] && cd pids; \
        for dir in . *; do [ -d $dir ] && mkdir $dir/new 2>/dev/null && echo made in $dir; done; true";
    bundle.sh(script).run().prints("there");
}

fn cgroup_is_mounted_writable_with_a_namespace(g: &Ground) {
    let bundle = g.bundle().namespace("cgroup").mount("/sys", "sysfs", "sysfs", &["ro"]);
    let bundle = bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["rw", "nosuid", "noexec", "nodev"]);
    let script = "cd /sys/fs/cgroup; [ -d pids ] && cd pids; grep -q '^1$' cgroup.procs && echo own; \
        mkdir sub && rmdir sub && echo writable";
    bundle.sh(script).run().prints("own\nwritable");
}

fn order_is_that_of_the_list(g: &Ground) {
    let bundle = g.bundle().mount("/t", "tmpfs", "tmpfs", &[]).mount("/t/inner", "tmpfs", "tmpfs", &["mode=0700"]);
    bundle.args(&["stat", "-c", "%a", "/t/inner"]).run().prints("700");
}

fn mount_over_a_mount_hides_it(g: &Ground) {
    let bundle = g.bundle();
    let (one, two) = (volume(&bundle, "one"), volume(&bundle, "two"));
    bundle.bind(one, "/mnt", &[]).bind(two, "/mnt", &[]).args(&["cat", "/mnt/file"]).run().prints("of two");
}

fn mount_on_a_file_of_a_directory_is_refused(g: &Ground) {
    let bundle = g.bundle().file("/plain", "");
    let dir = volume(&bundle, "v");
    bundle.bind(dir, "/plain", &[]).is_refused();
}

fn relative_destination_is_taken_from_the_root(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    bundle.bind(dir, "mnt", &[]).args(&["cat", "/mnt/file"]).run().prints("of v");
}

fn destination_with_dots_stays_in_the_root(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    let bundle = bundle.bind(dir, "/../../../../mnt", &[]).args(&["cat", "/mnt/file"]);
    bundle.run().prints("of v");
}

fn destination_that_is_a_link_stays_in_the_root(g: &Ground) {
    let bundle = g.bundle().file("/target/keep", "");
    let dir = volume(&bundle, "v");
    std::os::unix::fs::symlink("/target", bundle.rootfs().join("link")).expect("link");
    bundle.bind(dir, "/link", &[]).args(&["cat", "/target/file"]).run().prints("of v");
}

fn destination_through_an_absolute_link_stays_in_the_root(g: &Ground) {
    let bundle = g.bundle();
    let outside = g.dir.join("outside");
    fs::create_dir(&outside).expect("create");
    let dir = volume(&bundle, "v");
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("link")).expect("link");
    bundle.bind(dir, "/link/made", &[]).run();
    assert!(fs::read_dir(&outside).expect("there").next().is_none(), "something was made outside");
}

fn read_only_root_refuses_writes_and_mounts_do_not(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    let bundle = bundle.set("/root/readonly", true).bind(dir, "/mnt", &[]);
    let script = "touch /x 2>/dev/null || echo refused; touch /mnt/x && echo written; touch /dev/x && echo dev";
    bundle.sh(script).run().prints("refused\nwritten\ndev");
}

fn root_may_be_absolute(g: &Ground) {
    let bundle = g.bundle();
    let root = bundle.rootfs();
    bundle.set("/root/path", root.to_str().expect("text")).sh("echo ran").run().prints("ran");
}

fn root_that_is_a_link_is_followed(g: &Ground) {
    let bundle = g.bundle();
    std::os::unix::fs::symlink("rootfs", bundle.dir.join("alias")).expect("link");
    bundle.set("/root/path", "alias").sh("echo ran").run().prints("ran");
}

fn overlay_is_mounted(g: &Ground) {
    let bundle = g.bundle();
    let at = g.dir.join("layers");
    // The root's own file system may itself be an overlay, which takes no upper directory on it.
    tmpfs_at(&at);
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| at.join(name));
    for dir in [&lower, &upper, &work] {
        fs::create_dir(dir).expect("create");
    }
    fs::write(lower.join("file"), "of lower").expect("write");
    let dirs = [("lowerdir", &lower), ("upperdir", &upper), ("workdir", &work)];
    let options = dirs.map(|(name, dir)| format!("{name}={}", dir.display()));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let bundle = bundle.mount("/o", "overlay", "overlay", &options);
    bundle.sh("cat /o/file; echo new >/o/new").run().prints("of lower");
    assert!(upper.join("new").exists());
    nix::mount::umount2(&at, nix::mount::MntFlags::MNT_DETACH).expect("unmount");
}

fn a_hundred_mounts(g: &Ground) {
    let mut bundle = g.bundle();
    let dir = volume(&bundle, "v");
    for number in 0..100 {
        bundle = bundle.bind(&dir, &format!("/m/{number}"), &["ro"]);
    }
    bundle.sh("grep -c ' /m/' /proc/self/mountinfo; cat /m/99/file").run().prints("100\nof v");
}

fn id_mapped_bind_shows_other_owners(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    crate::harness::bundle::give(&dir, 1000);
    let map = json!([{ "containerID": 1000, "hostID": 5000, "size": 1 }]);
    let entry = json!({
        "destination": "/mnt", "type": "bind", "source": dir, "options": ["bind"], "uidMappings": map, "gidMappings": map,
    });
    bundle.push("/mounts", entry).args(&["stat", "-c", "%u:%g", "/mnt/file"]).run().prints("5000:5000");
}

fn cwd_on_a_mount_is_seen_through_it(g: &Ground) {
    let bundle = g.bundle();
    let dir = volume(&bundle, "v");
    bundle.bind(dir, "/work", &[]).set("/process/cwd", "/work").args(&["cat", "file"]).run().prints("of v");
}
