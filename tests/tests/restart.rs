//! skiff ends, and comes back: nothing acknowledged is lost, nothing that runs is touched.

use std::time::Duration;

use e2e::{Kubectl, Machine, Skiff, image, need, run};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);

fn pod(name: &str, script: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
            "command": ["sh", "-c", script] }] } })
}

fn import_busybox(skiff: &Skiff<'_>) {
    run::ok(&mut skiff.command(&["image", "import", &image::busybox().display().to_string()]));
}

/// The container's first process as the machine sees it.
fn pid_of(kubectl: &Kubectl<'_>, marker: &str, pod: &str) -> u32 {
    kubectl.wait_ready(pod);
    let found = processes_with(marker);
    assert_eq!(found.len(), 1, "one process with {marker}: {found:?}");
    found[0]
}

fn processes_with(marker: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("read /proc").flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let is_first = stat
            .lines()
            .any(|l| l.starts_with("NSpid:") && l.ends_with("\t1"));
        is_first
            && environ
                .split(|b| *b == 0)
                .any(|var| var == format!("MARKER={marker}").as_bytes())
    })
    .collect()
}

fn with_marker(mut pod: Value, marker: &str) -> Value {
    pod["spec"]["containers"][0]["env"] = json!([{ "name": "MARKER", "value": marker }]);
    pod
}

#[test]
fn killed_skiff_comes_back_to_every_object_and_the_same_running_containers() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let mut skiff = Skiff::up(&machine, &[]);
    import_busybox(&skiff);
    let kubectl = skiff.kubectl();
    let marker = format!("m{}", std::process::id());
    let count = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.05; done";
    kubectl.apply(&with_marker(pod("counter", count), &marker));
    kubectl.apply(&pod("ends", "sleep 3; exit 5"));
    kubectl.ok(&["create", "configmap", "kept", "--from-literal=a=b"]);
    let before = pid_of(&kubectl, &marker, "counter");
    kubectl.wait(&["pod", "ends"], A_MINUTE, |p| {
        p["status"]["phase"] == "Running"
    });

    skiff.kill();
    // Longer than `ends` lives: it exits while nobody looks.
    std::thread::sleep(Duration::from_secs(4));
    skiff.start();
    skiff.wait_api();
    skiff.wait_ready("node");

    let kubectl = skiff.kubectl();
    assert_eq!(kubectl.get(&["configmap", "kept"])["data"]["a"], "b");
    let ended = kubectl.wait(&["pod", "ends"], A_MINUTE, |p| {
        p["status"]["phase"] == "Failed"
    });
    let state = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(state["exitCode"], 5, "{state}");
    assert_eq!(
        pid_of(&kubectl, &marker, "counter"),
        before,
        "the container was not restarted"
    );
    let counter = kubectl.get(&["pod", "counter"]);
    assert_eq!(counter["status"]["containerStatuses"][0]["restartCount"], 0);
    assert_log_has_no_gap(&kubectl.ok(&["logs", "counter"]));
}

#[track_caller]
fn assert_log_has_no_gap(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    assert!(
        lines.len() > 60,
        "the log goes on while skiff is dead: {} lines",
        lines.len()
    );
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("line {at}"));
    }
}

#[test]
fn stopped_skiff_leaves_containers_running_and_reset_removes_all_it_made() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let links = || run::ok(machine.command("ip").args(["-o", "link"]));
    let routes = || {
        run::ok(
            machine
                .command("ip")
                .args(["route", "show", "table", "all"]),
        )
    };
    let links_before = links();
    let mut skiff = Skiff::up(&machine, &[]);
    import_busybox(&skiff);
    let marker = format!("r{}", std::process::id());
    let mut sleeper = with_marker(pod("sleeper", "sleep 3600"), &marker);
    sleeper["spec"]["volumes"] = json!([{ "name": "m", "emptyDir": { "medium": "Memory" } }]);
    sleeper["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "m", "mountPath": "/m" }]);
    skiff.kubectl().apply(&sleeper);
    let pid = pid_of(&skiff.kubectl(), &marker, "sleeper");

    skiff.stop();
    assert_eq!(processes_with(&marker), [pid], "it runs on without skiff");
    run::ok(&mut skiff.command(&["reset", "--yes"]));

    assert!(processes_with(&marker).is_empty(), "its process is gone");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let hash = fnv(&skiff.dir.display().to_string());
    assert!(
        !mounts.contains(&hash) && !mounts.contains(&format!("{}/", skiff.dir.display())),
        "{mounts}"
    );
    assert_eq!(links(), links_before);
    assert!(!routes().contains("10.96.0.0/12"), "{}", routes());
    assert!(!skiff.dir.exists());
    let groups = run::ok(std::process::Command::new("find").args([
        "/sys/fs/cgroup",
        "-maxdepth",
        "2",
        "-name",
        "skiff-*",
    ]));
    assert!(!groups.contains(&hash), "{groups}");
}

/// The id in the names of what a skiff with this data directory makes.
fn fnv(text: &str) -> String {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("{:08x}", text.bytes().fold(0x811c_9dc5, mix))
}
