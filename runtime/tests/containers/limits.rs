//! Limits, and being killed for them.

use oci_spec::runtime::{
    LinuxCpuBuilder, LinuxMemoryBuilder, LinuxPidsBuilder, LinuxResources, LinuxResourcesBuilder,
    PosixRlimitBuilder, PosixRlimitType,
};

use crate::node::{self, id};

fn memory(bytes: i64) -> LinuxResources {
    let memory = LinuxMemoryBuilder::default().limit(bytes).build().unwrap();
    LinuxResourcesBuilder::default()
        .memory(memory)
        .build()
        .unwrap()
}

fn has_memory_controller() -> bool {
    let v2 = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let is_there = std::path::Path::new("/sys/fs/cgroup/memory").exists() || v2.contains("memory");
    if !is_there {
        eprintln!("skipped: no memory controller in this machine's cgroups");
    }
    is_there
}

/// The whole way of a container where only the v2 hierarchy is mounted, as on systemd's machines.
#[test]
fn a_machine_with_only_cgroup_v2_runs_containers() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: containers take root");
        return;
    }
    let tests = std::env::current_exe().unwrap();
    let start = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/start");
    let script =
        "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$0\" 2";
    let ran = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .arg(start)
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(String::from_utf8_lossy(&ran.stdout).contains("create + start"));
}

#[tokio::test]
async fn a_container_over_its_memory_is_killed_and_says_so() {
    if !has_memory_controller() {
        return;
    }
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let args = ["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=5"].map(str::to_owned);
    let mut container = node.container("c", runtime::defaults::spec(args.to_vec()));
    container
        .spec
        .linux_mut()
        .as_mut()
        .unwrap()
        .set_resources(Some(memory(20 << 20)));
    let (_, exit) = node.run(&sandbox, container).await;
    assert_eq!(
        (exit.code, exit.signal, exit.oom_killed),
        (137, Some(9), true)
    );
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_child_killed_for_memory_is_told_too() {
    if !has_memory_controller() {
        return;
    }
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mut container = node.shell("c", "dd if=/dev/zero of=/dev/null bs=200M count=1; exit 9");
    container
        .spec
        .linux_mut()
        .as_mut()
        .unwrap()
        .set_resources(Some(memory(20 << 20)));
    let (_, exit) = node.run(&sandbox, container).await;
    assert_eq!((exit.code, exit.oom_killed), (9, true));
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_limit_too_small_to_start_in_is_an_error_that_says_so() {
    if !has_memory_controller() {
        return;
    }
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    let mut container = node.shell("c", "true");
    container
        .spec
        .linux_mut()
        .as_mut()
        .unwrap()
        .set_resources(Some(memory(64 << 10)));
    let error = sandbox.start(container).await.unwrap_err();
    assert!(
        error.to_string().contains("memory limit too low"),
        "{error}"
    );
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn the_limits_of_the_spec_are_those_of_the_group() {
    let Some(node) = node::open() else { return };
    if !std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        eprintln!("skipped: this machine has cgroup v2; the files have other names");
        return;
    }
    let cpu = LinuxCpuBuilder::default()
        .shares(102u64)
        .quota(25_000i64)
        .period(100_000u64);
    let resources = LinuxResourcesBuilder::default()
        .cpu(cpu.build().unwrap())
        .memory(
            LinuxMemoryBuilder::default()
                .limit(64i64 << 20)
                .build()
                .unwrap(),
        )
        .pids(LinuxPidsBuilder::default().limit(77i64).build().unwrap());
    let script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us \
        cpu/cpu.cfs_period_us pids/pids.max; echo 1 > memory/x 2>&1";
    let mut container = node.shell("c", script);
    container
        .spec
        .linux_mut()
        .as_mut()
        .unwrap()
        .set_resources(Some(resources.build().unwrap()));
    let lines = node.output_of(container).await;
    assert_eq!(lines[..5], ["67108864", "102", "25000", "100000", "77"]);
    assert!(lines[5].contains("Read-only file system"), "{lines:?}");
}

#[tokio::test]
async fn limits_change_while_it_runs() {
    if !has_memory_controller() {
        return;
    }
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    sandbox.start(node.shell("c", "sleep 1000")).await.unwrap();
    sandbox.update(&id("c"), memory(32 << 20)).await.unwrap();
    let script =
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null";
    let mut running = sandbox
        .exec(&id("c"), runtime::Exec::new(["sh", "-c", script]))
        .await
        .unwrap();
    let mut out = String::new();
    use tokio::io::AsyncReadExt;
    running
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .await
        .unwrap();
    assert_eq!(out, "33554432\n");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

#[tokio::test]
async fn stats_tell_what_a_container_and_its_pod_use() {
    if !has_memory_controller() {
        return;
    }
    let Some(node) = node::open() else { return };
    let sandbox = node.sandbox().await;
    sandbox
        .start(node.shell(
            "c",
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000",
        ))
        .await
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let (own, pod) = (
        sandbox.stats(&id("c")).await.unwrap(),
        sandbox.pod_stats().await.unwrap(),
    );
    assert!(own.cpu_usage_ns > 1_000_000, "{own:?}");
    assert!(
        (100_000..50_000_000).contains(&own.memory_usage_bytes),
        "{own:?}"
    );
    assert!(
        own.memory_working_set_bytes <= own.memory_usage_bytes,
        "{own:?}"
    );
    assert!(own.pids >= 1, "{own:?}");
    assert!(pod.cpu_usage_ns >= own.cpu_usage_ns, "{pod:?} {own:?}");
    sandbox.destroy().await.unwrap();
    node.close().await;
}

/// Any root may open the device, unless its group may not.
const FUSE: &str = "/dev/fuse";

async fn open_fuse(rules: Vec<oci_spec::runtime::LinuxDeviceCgroup>) -> Option<Vec<String>> {
    let node = node::open()?;
    if !std::path::Path::new(FUSE).exists() {
        eprintln!("skipped: there is no {FUSE} to open");
        return None;
    }
    // A node may be made with CAP_MKNOD, whether or not it can be opened.
    let script = "mknod /tmp/fuse c 10 229; (: < /tmp/fuse) 2>&1 && echo opened; \
        mknod /tmp/null c 1 3; echo x > /tmp/null && echo ok";
    let mut container = node.shell("c", script);
    let resources = LinuxResourcesBuilder::default()
        .devices(rules)
        .build()
        .unwrap();
    container
        .spec
        .linux_mut()
        .as_mut()
        .unwrap()
        .set_resources(Some(resources));
    Some(node.output_of(container).await)
}

#[tokio::test]
async fn devices_beyond_the_rules_cannot_be_opened() {
    let Some(lines) = open_fuse(runtime::defaults::device_rules(&[])).await else {
        return;
    };
    assert_eq!(
        lines,
        ["sh: can't open /tmp/fuse: Operation not permitted", "ok"]
    );
}

#[tokio::test]
async fn a_privileged_container_opens_any_device() {
    let Some(lines) = open_fuse(vec![runtime::defaults::all_devices_rule()]).await else {
        return;
    };
    assert_eq!(lines, ["opened", "ok"]);
}

#[tokio::test]
async fn rlimits_and_oom_score_are_set() {
    let Some(node) = node::open() else { return };
    let mut container = node.shell("c", "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj");
    let limit = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .soft(100u64)
        .hard(200u64);
    let process = container.spec.process_mut().as_mut().unwrap();
    process
        .set_rlimits(Some(vec![limit.build().unwrap()]))
        .set_oom_score_adj(Some(987));
    assert_eq!(node.output_of(container).await, ["100", "200", "987"]);
}
