//! Namespaces: new ones, the host's, and those of others by their paths; users mapped into others.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::harness::bundle::give;
use crate::harness::{Ground, cases};

cases! {
    new_ones_are_not_the_host_s;
    those_not_listed_are_the_host_s;
    network_is_joined_by_path;
    ipc_and_uts_are_joined_by_path;
    pid_is_joined_by_path;
    mounts_joined_by_path_are_those;
    cgroup_namespace_hides_the_path_of_the_group;
    network_namespace_has_a_loopback_that_is_up;
    time_namespace_has_offsets (Runc: "1.1 knows none", Crun: "1.8 knows none");
    path_that_is_missing_is_refused;
    path_of_another_kind_is_refused;
    path_that_is_no_namespace_is_refused;
    kind_that_is_unknown_is_refused;
    kind_that_is_given_twice_is_refused (Crun: "takes the last");
    hostname_without_uts_namespace_is_refused;
    container_without_mount_namespace_leaves_no_mounts (Runc: "mounts in the caller's", Crun: "mounts in the caller's");
    container_of_one_namespace_runs;
    pid_namespace_ends_with_its_first_process;
    orphans_are_adopted_by_the_first_process;
    user_namespace_maps_root_to_another;
    user_namespace_maps_many_ranges;
    user_namespace_keeps_all_capabilities_to_itself;
    user_namespace_with_a_user_that_is_not_mapped_is_refused;
    user_namespace_without_maps_is_refused (Crun: "maps all to themselves");
    user_namespace_is_joined_by_path (Runc: "1.1 wants its maps too");
    user_namespace_has_setgroups;
    user_namespace_with_a_network_namespace_may_configure_it;
    user_namespace_with_its_own_mounts_of_sysfs_and_mqueue;
    user_namespace_with_devices_of_the_host;
    maps_without_user_namespace_are_refused (Runc: "ignores them", Crun: "ignores them");
    maps_that_overlap_are_refused;
}

/// A process with new namespaces by `flags` of unshare(1). It ends with this value.
struct Holder(Child);

impl Holder {
    fn new(flags: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(flags).args(["sleep", "1000"]).stdin(Stdio::null()).stdout(Stdio::null());
        let holder = Self(command.spawn().expect("start unshare"));
        let comm = format!("/proc/{}/comm", holder.0.id());
        e2e::until("the holder sleeps", Duration::from_secs(30), || {
            fs::read_to_string(&comm).ok().filter(|comm| comm.starts_with("sleep"))
        });
        holder
    }

    fn path(&self, kind: &str) -> PathBuf {
        format!("/proc/{}/ns/{kind}", self.0.id()).into()
    }

    fn id(&self, kind: &str) -> String {
        fs::read_link(self.path(kind)).expect("a namespace").to_str().expect("text").to_owned()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn own(kind: &str) -> String {
    fs::read_link(format!("/proc/thread-self/ns/{kind}")).expect("a namespace").to_str().expect("text").to_owned()
}

fn new_ones_are_not_the_host_s(g: &Ground) {
    let bundle = g.bundle().namespace("network").namespace("cgroup");
    let out = bundle.sh("for kind in pid ipc uts mnt net cgroup; do readlink /proc/self/ns/$kind; done").run().ok();
    for (kind, id) in ["pid", "ipc", "uts", "mnt", "net", "cgroup"].iter().zip(out.stdout.lines()) {
        assert!(id.starts_with(kind), "{id}");
        assert_ne!(id, own(kind));
    }
}

fn those_not_listed_are_the_host_s(g: &Ground) {
    let bundle = g.bundle().no_namespace("ipc").no_namespace("uts").without("/hostname");
    let script = "for kind in ipc uts net cgroup user; do readlink /proc/self/ns/$kind; done";
    let expected = ["ipc", "uts", "net", "cgroup", "user"].map(own).join("\n");
    bundle.sh(script).run().prints(&expected);
}

fn network_is_joined_by_path(g: &Ground) {
    let holder = Holder::new(&["--net"]);
    let bundle = g.bundle().joined("network", holder.path("net"));
    bundle.args(&["readlink", "/proc/self/ns/net"]).run().prints(&holder.id("net"));
}

fn ipc_and_uts_are_joined_by_path(g: &Ground) {
    let holder = Holder::new(&["--ipc", "--uts"]);
    let bundle = g.bundle().joined("ipc", holder.path("ipc")).joined("uts", holder.path("uts"));
    let bundle = bundle.without("/hostname").sh("readlink /proc/self/ns/ipc; readlink /proc/self/ns/uts");
    bundle.run().prints(&format!("{}\n{}", holder.id("ipc"), holder.id("uts")));
}

fn pid_is_joined_by_path(g: &Ground) {
    let first = g.bundle().up();
    let path = format!("/proc/{}/ns/pid", first.pid());
    let id = fs::read_link(&path).expect("a namespace");
    let bundle = g.bundle().joined("pid", path).sh("readlink /proc/self/ns/pid; [ $$ != 1 ] && echo not-first");
    bundle.run().prints(&format!("{}\nnot-first", id.display()));
    assert_eq!(first.status(), "running");
}

fn mounts_joined_by_path_are_those(g: &Ground) {
    let holder = Holder::new(&["--mount"]);
    let bundle = g.bundle().joined("mount", holder.path("mnt")).set("/mounts", json!([]));
    let bundle = bundle.set("/mounts", json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]));
    bundle.args(&["readlink", "/proc/self/ns/mnt"]).run().prints(&holder.id("mnt"));
}

fn cgroup_namespace_hides_the_path_of_the_group(g: &Ground) {
    let bundle = g.bundle().namespace("cgroup");
    let id = bundle.id.clone();
    bundle.sh("cat /proc/self/cgroup").run().ok().shows(":/").hides(&id);
    let without = g.bundle();
    let id = without.id.clone();
    without.sh("cat /proc/self/cgroup").run().ok().shows(&id);
}

fn network_namespace_has_a_loopback_that_is_up(g: &Ground) {
    let bundle = g.bundle().namespace("network").sh("ip -o link show lo");
    bundle.run().ok().shows("UP");
}

fn time_namespace_has_offsets(g: &Ground) {
    let offsets = json!({ "boottime": { "secs": 86_400_000, "nanosecs": 0 } });
    let bundle = g.bundle().namespace("time").set("/linux/timeOffsets", offsets);
    let out = bundle.sh("cut -d . -f 1 /proc/uptime").run().ok();
    let seconds: u64 = out.stdout.trim().parse().expect("seconds");
    assert!(seconds >= 86_400_000, "{seconds}");
}

fn path_that_is_missing_is_refused(g: &Ground) {
    g.bundle().joined("network", "/no/such/namespace").is_refused();
}

fn path_of_another_kind_is_refused(g: &Ground) {
    let holder = Holder::new(&["--ipc"]);
    g.bundle().joined("network", holder.path("ipc")).is_refused();
}

fn path_that_is_no_namespace_is_refused(g: &Ground) {
    g.bundle().joined("network", "/etc/hostname").is_refused();
}

fn kind_that_is_unknown_is_refused(g: &Ground) {
    g.bundle().namespace("weather").is_refused();
}

fn kind_that_is_given_twice_is_refused(g: &Ground) {
    g.bundle().push("/linux/namespaces", json!({ "type": "pid" })).is_refused();
}

fn hostname_without_uts_namespace_is_refused(g: &Ground) {
    g.bundle().no_namespace("uts").is_refused();
}

fn container_without_mount_namespace_leaves_no_mounts(g: &Ground) {
    let outcome = g.bundle().no_namespace("mount").run();
    if !outcome.succeeded() {
        outcome.refused();
    }
    g.is_clean();
}

fn container_of_one_namespace_runs(g: &Ground) {
    let bundle = g.bundle().set("/linux/namespaces", json!([{ "type": "mount" }])).without("/hostname");
    bundle.sh("readlink /proc/self/ns/pid").run().prints(&own("pid"));
}

fn pid_namespace_ends_with_its_first_process(g: &Ground) {
    let bundle = g.bundle().sh("(sleep 4321 &) ; sleep 0.2; exit 5");
    bundle.run().code(5);
    g.is_clean();
}

fn orphans_are_adopted_by_the_first_process(g: &Ground) {
    let script = "sh -c 'sh -c \"sleep 0.1; cut -d \\\" \\\" -f 4 /proc/self/stat\" &' ; sleep 1";
    g.bundle().sh(script).run().prints("1");
}

fn user_namespace_maps_root_to_another(g: &Ground) {
    let bundle = g.bundle().user_namespace().sh("id -u; touch /made; cat /proc/self/uid_map | tr -s ' '");
    bundle.run().prints("0\n 0 100000 65536");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(bundle.rootfs().join("made")).expect("made"));
    assert_eq!(owner, 100_000);
}

fn user_namespace_maps_many_ranges(g: &Ground) {
    let map = json!([
        { "containerID": 0, "hostID": 200_000, "size": 10 },
        { "containerID": 10, "hostID": 300_000, "size": 1000 },
    ]);
    let bundle = g.bundle().namespace("user");
    give(&bundle.rootfs(), 200_000);
    let bundle = bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let bundle = bundle.set("/process/user", json!({ "uid": 11, "gid": 12 }));
    bundle.sh("id -u; id -g; wc -l </proc/self/gid_map").run().prints("11\n12\n2");
}

fn user_namespace_keeps_all_capabilities_to_itself(g: &Ground) {
    let bundle = g.bundle().user_namespace().capabilities(&["CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_MKNOD"]);
    let script = "mknod /null c 1 3 2>/dev/null || echo no-device; cat /proc/1/environ >/dev/null && echo own";
    bundle.sh(script).run().prints("no-device\nown");
}

fn user_namespace_with_a_user_that_is_not_mapped_is_refused(g: &Ground) {
    let bundle = g.bundle().user_namespace().set("/process/user", json!({ "uid": 70_000, "gid": 0 }));
    bundle.is_refused();
}

fn user_namespace_without_maps_is_refused(g: &Ground) {
    g.bundle().namespace("user").is_refused();
}

fn user_namespace_is_joined_by_path(g: &Ground) {
    let first = g.bundle().user_namespace().up();
    let path = format!("/proc/{}/ns/user", first.pid());
    let id = fs::read_link(&path).expect("a namespace");
    let bundle = g.bundle();
    give(&bundle.rootfs(), 100_000);
    let bundle = bundle.joined("user", path).args(&["readlink", "/proc/self/ns/user"]);
    bundle.run().prints(id.to_str().expect("text"));
}

fn user_namespace_has_setgroups(g: &Ground) {
    let user = json!({ "uid": 1, "gid": 2, "additionalGids": [3, 4] });
    let bundle = g.bundle().user_namespace().set("/process/user", user);
    bundle.sh("grep Groups /proc/self/status | tr -s ' \\t' ' '").run().prints("Groups: 3 4");
}

fn user_namespace_with_a_network_namespace_may_configure_it(g: &Ground) {
    let bundle = g.bundle().user_namespace().namespace("network").capabilities(&["CAP_NET_ADMIN"]);
    bundle.sh("ip link set lo up && ip -o link show lo").run().ok().shows("UP");
}

fn user_namespace_with_its_own_mounts_of_sysfs_and_mqueue(g: &Ground) {
    let bundle = g.bundle().user_namespace().namespace("network");
    let bundle = bundle.mount("/sys", "sysfs", "sysfs", &["ro", "nosuid", "noexec", "nodev"]);
    let bundle = bundle.mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]);
    bundle.args(&["ls", "/sys/class/net"]).run().prints("lo");
}

fn user_namespace_with_devices_of_the_host(g: &Ground) {
    let script = "echo x >/dev/null && head -c 4 /dev/zero | wc -c";
    g.bundle().user_namespace().sh(script).run().prints("4");
}

fn maps_without_user_namespace_are_refused(g: &Ground) {
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 10 }]);
    g.bundle().set("/linux/uidMappings", map).is_refused();
}

fn maps_that_overlap_are_refused(g: &Ground) {
    let map = json!([
        { "containerID": 0, "hostID": 200_000, "size": 10 },
        { "containerID": 5, "hostID": 300_000, "size": 10 },
    ]);
    let bundle = g.bundle().namespace("user");
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).is_refused();
}
