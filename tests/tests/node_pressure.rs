//! A node that runs short: its disks are small ones of its own, so that they can be filled.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::{Kubectl, Machine, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &[
    "kubectl", "skopeo", "umoci", "busybox", "nsenter", "unshare",
];
const PATIENCE: Duration = Duration::from_secs(180);
const MIB: usize = 1 << 20;

/// Half of each.
const SIGNALS: &str = "nodefs.available<50%,imagefs.available<50%";
const DISKS: &[(&str, &str)] = &[("kubelet", "size=48m"), ("images", "size=96m")];

fn import_busybox(skiff: &Skiff<'_>) {
    let busybox = image::busybox().display().to_string();
    run::ok(&mut skiff.command(&["image", "import", &busybox]));
}

/// An image of one file that nobody runs.
fn build(skiff: &Skiff<'_>, name: &str, file: &Path) -> std::process::Command {
    let file = file.display().to_string();
    skiff.command(&["image", "build", "--tag", name, "--binary", &file])
}

fn write(path: &Path, mib: usize) {
    fs::write(path, vec![1; mib * MIB]).expect("write a file");
}

fn pod(name: &str, script: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
            "command": ["sh", "-c", format!("{script}; sleep 3600")],
            "volumeMounts": [{ "name": "v", "mountPath": "/v" }] }],
        "volumes": [{ "name": "v", "emptyDir": {} }] } })
}

/// A script that writes so much.
fn fill(path: &str, mib: usize) -> String {
    format!("dd if=/dev/zero of={path} bs=1048576 count={mib}")
}

fn condition<'o>(object: &'o Value, name: &str) -> &'o Value {
    let all = object["status"]["conditions"].as_array();
    let mut all = all.into_iter().flatten();
    all.find(|c| c["type"] == name).unwrap_or(&Value::Null)
}

fn wait_evicted(kubectl: &Kubectl<'_>, name: &str) -> Value {
    kubectl.wait(&["pod", name], PATIENCE, |pod| {
        pod["status"]["phase"] == "Failed" && pod["status"]["reason"] == "Evicted"
    })
}

/// The messages of events of one reason.
fn told(kubectl: &Kubectl<'_>, reason: &str) -> Vec<String> {
    let field = format!("reason={reason}");
    let events = kubectl.get(&["events", "-A", "--field-selector", &field]);
    let items = events["items"].as_array().cloned().unwrap_or_default();
    let message = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
    items.iter().map(message).collect()
}

fn runs_as_before(kubectl: &Kubectl<'_>, name: &str) {
    let pod = kubectl.get(&["pod", name]);
    assert_eq!(pod["status"]["phase"], "Running", "{pod}");
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["restartCount"], 0, "{pod}");
}

#[test]
fn a_full_disk_costs_unused_images_then_a_pod_and_nothing_more() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let flags = [
        ["--eviction-hard", SIGNALS],
        ["--eviction-pressure-transition-period", "1s"],
        ["--minimum-image-ttl-duration", "0s"],
        ["--image-gc-high-threshold", "100"],
    ];
    let skiff = Skiff::up_with_disks(&machine, flags.as_flattened(), DISKS);
    import_busybox(&skiff);
    let kubectl = skiff.kubectl();
    kubectl.apply(&pod("modest", "true"));
    kubectl.wait_ready("modest");

    unused_images_go_first(&skiff, &kubectl);
    the_pod_that_uses_most_goes(&kubectl);
    pods_over_their_limits_go(&kubectl);

    kubectl.apply(&pod("after", "true"));
    kubectl.wait_ready("after");
    runs_as_before(&kubectl, "modest");
}

fn unused_images_go_first(skiff: &Skiff<'_>, kubectl: &Kubectl<'_>) {
    let file = tempfile::NamedTempFile::new().expect("create a file");
    write(file.path(), 18);
    run::ok(&mut build(skiff, "unused:1", file.path()));
    let listed = || run::ok(&mut skiff.command(&["image", "ls"]));
    assert!(listed().contains("unused:1"));
    // With what is there already it is more than half of the disk.
    let filler = skiff.on_disk("images/filler");
    write(&filler, 30);
    until("the unused image is removed", PATIENCE, || {
        (!listed().contains("unused:1")).then_some(())
    });
    assert!(listed().contains("busybox:1"), "it is used");
    fs::remove_file(filler).expect("remove a file");
    kubectl.wait(&["node", "node"], PATIENCE, |node| {
        condition(node, "DiskPressure")["status"] == "False"
    });
    let attempts = told(kubectl, "EvictionThresholdMet");
    assert_eq!(attempts, ["Attempting to reclaim ephemeral-storage"]);
    assert!(told(kubectl, "Evicted").is_empty());
}

fn the_pod_that_uses_most_goes(kubectl: &Kubectl<'_>) {
    kubectl.apply(&pod("hog", &fill("/v/f", 30)));
    let hog = wait_evicted(kubectl, "hog");
    let message = hog["status"]["message"].as_str().unwrap_or_default();
    let start =
        "The node was low on resource: ephemeral-storage. Threshold quantity: 24Mi, available: ";
    assert!(message.starts_with(start), "{message}");
    let disrupted = condition(&hog, "DisruptionTarget");
    assert_eq!(disrupted["reason"], "TerminationByKubelet", "{hog}");
    assert_eq!(disrupted["message"], message);
    until("the eviction is told of", PATIENCE, || {
        let events = told(kubectl, "Evicted");
        events.iter().any(|event| event == message).then_some(())
    });
    until("the node told of its pressure", PATIENCE, || {
        (!told(kubectl, "NodeHasDiskPressure").is_empty()).then_some(())
    });
    kubectl.wait(&["node", "node"], PATIENCE, |node| {
        condition(node, "DiskPressure")["status"] == "False"
    });
}

fn pods_over_their_limits_go(kubectl: &Kubectl<'_>) {
    let mut volume = pod("volume", &fill("/v/f", 4));
    volume["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = json!("2Mi");
    let mut layer = pod("layer", &fill("/f", 4));
    layer["spec"]["containers"][0]["resources"] =
        json!({ "limits": { "ephemeral-storage": "3Mi" } });
    let mut within = pod("within", &fill("/v/f", 4));
    within["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = json!("6Mi");
    for pod in [&within, &volume, &layer] {
        kubectl.apply(pod);
    }
    let message = |name| wait_evicted(kubectl, name)["status"]["message"].clone();
    assert_eq!(
        message("volume"),
        "Usage of EmptyDir volume \"v\" exceeds the limit \"2Mi\". "
    );
    assert_eq!(
        message("layer"),
        "Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. "
    );
    runs_as_before(kubectl, "within");
}

/// Fills a disk to its last byte.
fn fill_up(path: &PathBuf) {
    let mut file = File::create(path).expect("create a file");
    for size in [MIB, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_node_survives_a_full_disk_and_goes_on_when_there_is_room() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let disks = [("kubelet", "size=16m"), ("images", "size=16m")];
    let mut skiff = Skiff::up_with_disks(&machine, &[], &disks);
    import_busybox(&skiff);
    let small = tempfile::NamedTempFile::new().expect("create a file");
    write(small.path(), 1);
    run::ok(&mut build(&skiff, "first:1", small.path()));
    let kubectl = skiff.kubectl();
    kubectl.apply(&pod("before", "true"));
    kubectl.wait_ready("before");

    let fillers = ["kubelet/filler", "images/filler"].map(|name| skiff.on_disk(name));
    fillers.iter().for_each(fill_up);
    fs::write(small.path(), vec![2; MIB]).expect("write a file");
    let refused = run::fails(&mut build(&skiff, "second:1", small.path()));
    assert!(refused.contains("No space left on device"), "{refused}");
    kubectl.apply(&pod("during", "true"));
    until("it is told that there is no room", PATIENCE, || {
        let events = kubectl.get(&["events", "--field-selector", "involvedObject.name=during"]);
        let events = events.to_string();
        events.contains("No space left on device").then_some(())
    });
    // The agent starts on a full disk too, and what runs goes on.
    skiff.stop();
    skiff.start();
    skiff.wait_api();
    skiff.wait_ready("node");
    let kubectl = skiff.kubectl();
    runs_as_before(&kubectl, "before");
    let hosts = kubectl.ok(&["exec", "before", "--", "cat", "/etc/hosts"]);
    assert!(hosts.contains("localhost"), "{hosts}");
    // An image can be removed although nothing can be written.
    run::ok(&mut skiff.command(&["image", "rm", "first:1"]));
    let listed = run::ok(&mut skiff.command(&["image", "ls"]));
    assert!(
        !listed.contains("first:1") && !listed.contains("second:1"),
        "{listed}"
    );

    for filler in &fillers {
        fs::remove_file(filler).expect("remove a file");
    }
    kubectl.wait(&["pod", "during"], PATIENCE, |pod| {
        condition(pod, "Ready")["status"] == "True"
    });
    run::ok(&mut build(&skiff, "second:1", small.path()));
    runs_as_before(&kubectl, "before");
}

/// More than any machine has: the node is short of memory from the start.
const NEVER_ENOUGH: &str = "memory.available<1000000Gi";

/// A pod of this node, which no scheduler would give it.
fn bound(name: &str, namespace: &str, spec: &Value) -> Value {
    let mut pod = pod(name, "true");
    pod["metadata"]["namespace"] = json!(namespace);
    pod["spec"]["nodeName"] = json!("node");
    for (field, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][field] = value.clone();
    }
    pod
}

#[test]
fn a_node_without_memory_takes_and_keeps_critical_pods_only() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let flags = [
        "--eviction-hard",
        NEVER_ENOUGH,
        "--image-gc-high-threshold",
        "100",
    ];
    let skiff = Skiff::up(&machine, &flags);
    import_busybox(&skiff);
    let kubectl = skiff.kubectl();
    let node = kubectl.get(&["node", "node"]);
    assert_eq!(
        condition(&node, "MemoryPressure")["status"],
        "True",
        "{node}"
    );
    assert_eq!(
        condition(&node, "DiskPressure")["status"],
        "False",
        "{node}"
    );

    let critical = json!({ "priorityClassName": "system-node-critical" });
    kubectl.apply(&bound("critical", "kube-system", &critical));
    kubectl.apply(&bound("refused", "default", &json!({})));
    let refused = wait_evicted(&kubectl, "refused");
    assert_eq!(
        refused["status"]["message"],
        "Pod was rejected: The node had condition: [MemoryPressure]. "
    );
    // What the threshold keeps free, here all memory, is not allocatable: it asks for none.
    let mut evicted = bound("evicted", "default", &json!({}));
    evicted["spec"]["containers"][0]["resources"] = json!({ "requests": { "cpu": "1m" } });
    kubectl.apply(&evicted);
    let evicted = wait_evicted(&kubectl, "evicted");
    let message = evicted["status"]["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("The node was low on resource: memory. "),
        "{message}"
    );
    let blame = "request is 0, has larger consumption of memory. ";
    assert!(message.ends_with(blame), "{message}");
    kubectl.wait(&["pod", "critical", "-n", "kube-system"], PATIENCE, |pod| {
        condition(pod, "Ready")["status"] == "True"
    });
    a_reboot_is_told_of(&kubectl);
}

fn a_reboot_is_told_of(kubectl: &Kubectl<'_>) {
    let other = r#"{"status":{"nodeInfo":{"bootID":"another"}}}"#;
    kubectl.ok(&[
        "patch",
        "node",
        "node",
        "--subresource=status",
        "--type=merge",
        "-p",
        other,
    ]);
    let told = until("the reboot is told of", PATIENCE, || {
        told(kubectl, "Rebooted").pop()
    });
    assert!(
        told.starts_with("Node node has been rebooted, boot id: "),
        "{told}"
    );
}
