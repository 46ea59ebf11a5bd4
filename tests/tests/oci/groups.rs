//! Control groups: what a container is in, and its limits at the start.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Bundle, Ground, Outcome, cases, cgroups};

cases! {
    container_is_in_its_group;
    group_is_removed_with_the_container;
    group_is_made_below_another;
    path_that_climbs_stays_in_the_hierarchy;
    path_that_is_missing_gets_a_group_of_its_own;
    relative_path_is_taken;
    memory_limit_is_set;
    memory_limit_kills_who_goes_above;
    memory_reservation_is_set;
    memory_and_swap_are_limited_together;
    memory_without_limit_is_minus_one;
    pids_limit_is_set;
    pids_limit_refuses_forks_above;
    pids_limit_of_minus_one_is_none (Crun: "1.8 writes it as it is");
    cpu_shares_are_set;
    cpu_quota_and_period_are_set;
    cpu_quota_slows_down;
    cpuset_is_set;
    cpuset_that_does_not_exist_is_refused (Crun: "leaves its groups");
    block_io_weight_and_throttle_are_set;
    hugepages_are_limited;
    unified_is_written_on_v2;
    unified_is_refused_on_v1 (Crun: "leaves its groups");
    limit_that_the_kernel_refuses_leaves_nothing (Crun: "leaves its groups");
    pause_freezes_all_processes;
    delete_removes_groups_that_the_container_made;
    deeper_groups_are_the_container_s_own_with_a_namespace;
    exec_is_counted_with_the_container;
    systemd_makes_a_scope (Crun: "names it otherwise");
    systemd_sets_limits;
}

pub fn resources(bundle: Bundle, value: Value) -> Bundle {
    let mut bundle = bundle;
    for (name, part) in value.as_object().expect("an object") {
        bundle = bundle.set(&format!("/linux/resources/{name}"), part.clone());
    }
    bundle
}

fn container_is_in_its_group(g: &Ground) {
    let bundle = g.bundle().up();
    let pid = bundle.pid();
    let file = bundle.group_file("pids", "cgroup.procs", "cgroup.procs");
    let group = file.parent().expect("a directory");
    assert!(cgroups::processes(group).contains(&i32::try_from(pid).expect("a pid")));
    if !cgroups::are_v2() {
        for controller in ["memory", "cpu", "devices", "freezer", "cpuset", "blkio"] {
            let text = bundle.group_says(controller, "cgroup.procs", "");
            assert!(text.lines().any(|line| line == pid.to_string()), "not in {controller}");
        }
    }
}

fn group_is_removed_with_the_container(g: &Ground) {
    let bundle = g.bundle().up();
    assert!(bundle.group_file("pids", "", "").exists());
    bundle.call(&["delete", "--force"]).ok();
    assert!(!bundle.group_file("pids", "", "").exists());
    g.is_clean();
}

fn group_is_made_below_another(g: &Ground) {
    let bundle = g.bundle();
    let path = format!("/{}/deep/er", bundle.id);
    let bundle = bundle.set("/linux/cgroupsPath", path).sh("cat /proc/self/cgroup");
    bundle.run().ok().shows("/deep/er");
    // Who made the groups above is the caller's affair, so they may stay.
    cgroups::named(&bundle.id).iter().for_each(|group| cgroups::remove(group));
}

fn path_that_climbs_stays_in_the_hierarchy(g: &Ground) {
    let bundle = g.bundle();
    let path = format!("/../../../{}", bundle.id);
    let bundle = bundle.set("/linux/cgroupsPath", path);
    let before = fs::read_dir("/sys/fs").expect("there").count();
    if !bundle.run().succeeded() {
        g.is_clean();
    }
    assert_eq!(fs::read_dir("/sys/fs").expect("there").count(), before);
}

fn path_that_is_missing_gets_a_group_of_its_own(g: &Ground) {
    let bundle = g.bundle().without("/linux/cgroupsPath").sh("cat /proc/self/cgroup");
    let id = bundle.id.clone();
    bundle.run().ok().shows(&id);
}

fn relative_path_is_taken(g: &Ground) {
    let bundle = g.bundle();
    let path = bundle.id.clone();
    let bundle = bundle.set("/linux/cgroupsPath", path.as_str()).sh("cat /proc/self/cgroup");
    bundle.run().ok().shows(&path);
}

fn memory_limit_is_set(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "memory": { "limit": 33_554_432 } })).up();
    assert_eq!(bundle.group_says("memory", "memory.limit_in_bytes", "memory.max"), "33554432");
}

fn memory_limit_kills_who_goes_above(g: &Ground) {
    let memory = json!({ "memory": { "limit": 16_777_216, "swap": 16_777_216 } });
    // The shell is not killed, being small.
    let script = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo $?";
    resources(g.bundle(), memory).sh(script).run().prints("137");
}

fn memory_reservation_is_set(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "memory": { "reservation": 16_777_216 } })).up();
    assert_eq!(bundle.group_says("memory", "memory.soft_limit_in_bytes", "memory.low"), "16777216");
}

fn memory_and_swap_are_limited_together(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "memory": { "limit": 33_554_432, "swap": 50_331_648 } }));
    if !cgroups::are_v2() && !fs::exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").expect("readable") {
        g.skip("this kernel does not account for swap");
    }
    let bundle = bundle.up();
    // On v2 the file has swap alone.
    let expected = if cgroups::are_v2() { "16777216" } else { "50331648" };
    assert_eq!(bundle.group_says("memory", "memory.memsw.limit_in_bytes", "memory.swap.max"), expected);
}

fn memory_without_limit_is_minus_one(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "memory": { "limit": -1 } })).up();
    let text = bundle.group_says("memory", "memory.limit_in_bytes", "memory.max");
    assert!(text == "max" || text.parse::<u64>().is_ok_and(|limit| limit > 1 << 60), "{text}");
}

fn pids_limit_is_set(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "pids": { "limit": 42 } })).up();
    assert_eq!(bundle.group_says("pids", "pids.max", "pids.max"), "42");
}

fn pids_limit_refuses_forks_above(g: &Ground) {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo unreached";
    let bundle = resources(g.bundle(), json!({ "pids": { "limit": 6 } })).sh(script);
    bundle.run().refused().hides("unreached");
}

fn pids_limit_of_minus_one_is_none(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "pids": { "limit": -1 } })).up();
    assert_eq!(bundle.group_says("pids", "pids.max", "pids.max"), "max");
}

fn cpu_shares_are_set(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "cpu": { "shares": 512 } })).up();
    has_shares(&bundle, "512", ["20", "59"]);
}

/// On v2 shares are a weight: by a line at first, by a curve through 1024 and 100 since runc 1.4 and crun 1.23.
#[track_caller]
pub fn has_shares(bundle: &Bundle, shares: &str, weights: [&str; 2]) {
    let says = bundle.group_says("cpu", "cpu.shares", "cpu.weight");
    let is_right = if cgroups::are_v2() { weights.contains(&says.as_str()) } else { says == shares };
    assert!(is_right, "{says}");
}

fn cpu_quota_and_period_are_set(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "cpu": { "quota": 20000, "period": 50000 } })).up();
    if cgroups::are_v2() {
        assert_eq!(bundle.group_says("", "", "cpu.max"), "20000 50000");
    } else {
        assert_eq!(bundle.group_says("cpu", "cpu.cfs_quota_us", ""), "20000");
        assert_eq!(bundle.group_says("cpu", "cpu.cfs_period_us", ""), "50000");
    }
}

fn cpu_quota_slows_down(g: &Ground) {
    let cpu = json!({ "cpu": { "quota": 5000, "period": 100_000 } });
    let bundle = resources(g.bundle(), cpu).sh("timeout 1 yes >/dev/null; true");
    bundle.create().ok();
    bundle.start().ok();
    bundle.until_stopped();
    let text = bundle.group_says("cpu", "cpu.stat", "cpu.stat");
    let throttled = text.lines().find_map(|line| line.strip_prefix("nr_throttled ")).expect("counted");
    assert_ne!(throttled, "0");
}

fn cpuset_is_set(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "cpu": { "cpus": "1", "mems": "0" } })).up();
    assert_eq!(bundle.group_says("cpuset", "cpuset.cpus", "cpuset.cpus"), "1");
    assert_eq!(bundle.group_says("cpuset", "cpuset.mems", "cpuset.mems"), "0");
}

fn cpuset_that_does_not_exist_is_refused(g: &Ground) {
    if cgroups::are_v2() {
        g.skip("v2 takes CPUs that do not exist, for when they come");
    }
    resources(g.bundle(), json!({ "cpu": { "cpus": "900-1000" } })).is_refused();
}

fn block_io_weight_and_throttle_are_set(g: &Ground) {
    let device = fs::metadata("/dev/loop0").or_else(|_| fs::metadata("/dev/vda"));
    let Ok(device) = device else { g.skip("there is no block device to limit") };
    let numbers = std::os::unix::fs::MetadataExt::rdev(&device);
    let (major, minor) = (nix::sys::stat::major(numbers), nix::sys::stat::minor(numbers));
    let rate = json!([{ "major": major, "minor": minor, "rate": 1_048_576 }]);
    let bundle = resources(g.bundle(), json!({ "blockIO": { "throttleReadBpsDevice": rate } }));
    let bundle = bundle.up();
    let text = bundle.group_says("blkio", "blkio.throttle.read_bps_device", "io.max");
    assert!(text.contains(&format!("{major}:{minor}")) && text.contains("1048576"), "{text}");
}

fn hugepages_are_limited(g: &Ground) {
    let has = fs::exists("/sys/fs/cgroup/hugetlb").expect("readable")
        || fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|text| text.contains("hugetlb"));
    if !has {
        g.skip("this machine has no hugetlb controller");
    }
    let limits = json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }] });
    let bundle = resources(g.bundle(), limits).up();
    assert_eq!(bundle.group_says("hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"), "4194304");
}

fn unified_is_written_on_v2(g: &Ground) {
    if !cgroups::are_v2() {
        g.skip("this machine has no v2 controllers");
    }
    let bundle = resources(g.bundle(), json!({ "unified": { "memory.high": "33554432", "pids.max": "77" } })).up();
    assert_eq!(bundle.group_says("", "", "memory.high"), "33554432");
    assert_eq!(bundle.group_says("", "", "pids.max"), "77");
}

fn unified_is_refused_on_v1(g: &Ground) {
    if cgroups::are_v2() {
        let climbing = json!({ "unified": { "../cgroup.procs": "0" } });
        resources(g.bundle(), climbing).is_refused();
        return;
    }
    resources(g.bundle(), json!({ "unified": { "memory.high": "33554432" } })).is_refused();
}

fn limit_that_the_kernel_refuses_leaves_nothing(g: &Ground) {
    resources(g.bundle(), json!({ "cpu": { "period": 1, "quota": 1 } })).is_refused();
}

fn pause_freezes_all_processes(g: &Ground) {
    let bundle = g.bundle().up();
    bundle.call(&["pause"]).ok();
    e2e::until("it is frozen", std::time::Duration::from_secs(30), || {
        let text = bundle.group_says("freezer", "freezer.state", "cgroup.freeze");
        (text == "FROZEN" || text == "1").then_some(())
    });
    bundle.call(&["resume"]).ok();
}

fn delete_removes_groups_that_the_container_made(g: &Ground) {
    let bundle = g.bundle().namespace("cgroup").mount("/sys", "sysfs", "sysfs", &[]);
    let bundle = bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["rw"]).up();
    let script = "cd /sys/fs/cgroup; [ -d pids ] && cd pids; mkdir -p own/deeper && ls own";
    bundle.exec_sh(script).ok().shows("deeper");
    bundle.call(&["delete", "--force"]).ok();
    g.is_clean();
}

fn deeper_groups_are_the_container_s_own_with_a_namespace(g: &Ground) {
    let bundle = g.bundle().namespace("cgroup").mount("/sys", "sysfs", "sysfs", &[]);
    let bundle = bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["rw"]);
    let script = "cd /sys/fs/cgroup; [ -d pids ] && cd pids; mkdir own && echo $$ >own/cgroup.procs && \
        grep -E '(^0:|pids)' /proc/self/cgroup | grep -o '/own'";
    bundle.sh(script).run().ok().shows("/own");
}

fn exec_is_counted_with_the_container(g: &Ground) {
    let bundle = resources(g.bundle(), json!({ "pids": { "limit": 50 } })).up();
    bundle.exec_with(&["--detach"], &["sleep", "1234"]).ok();
    let count: u32 = bundle.group_says("pids", "pids.current", "pids.current").parse().expect("a number");
    assert!(count >= 3, "{count}");
}

/// A container whose group systemd makes, or the end of the case.
fn with_systemd<'g>(g: &'g Ground, bundle: Bundle<'g>) -> (Bundle<'g>, Outcome) {
    if !fs::exists("/run/systemd/private").expect("readable") {
        g.skip("systemd does not run here");
    }
    let path = format!("system.slice:test:{}", bundle.id);
    let bundle = bundle.set("/linux/cgroupsPath", path).sleeper();
    bundle.write();
    let mut command = g.command();
    command.args(["--systemd-cgroup", "run", "--detach", "--bundle"]).arg(&bundle.dir).arg(&bundle.id);
    let outcome = g.end(&mut command);
    (bundle, outcome)
}

fn systemd_makes_a_scope(g: &Ground) {
    let (bundle, outcome) = with_systemd(g, g.bundle());
    outcome.ok();
    let scope = format!("test-{}.scope", bundle.id);
    bundle.exec(&["cat", "/proc/1/cgroup"]).ok().shows(&format!("/system.slice/{scope}"));
    let active = || g.script(&format!("systemctl is-active {scope} || true")).stdout;
    assert_eq!(active().trim(), "active");
    bundle.call(&["delete", "--force"]).ok();
    assert_ne!(active().trim(), "active");
}

fn systemd_sets_limits(g: &Ground) {
    let limits = json!({ "memory": { "limit": 33_554_432 }, "pids": { "limit": 42 } });
    let (bundle, outcome) = with_systemd(g, resources(g.bundle(), limits));
    outcome.ok();
    let out = bundle.exec_sh("cut -d : -f 3 /proc/1/cgroup").ok();
    let group = format!("/sys/fs/cgroup{}", out.stdout.trim());
    let says = |file: &str| fs::read_to_string(format!("{group}/{file}")).expect("readable").trim().to_owned();
    assert_eq!((says("memory.max").as_str(), says("pids.max").as_str()), ("33554432", "42"));
}
