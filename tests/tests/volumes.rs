//! Volumes on the node's own disk: data outlives pods, and goes with its claim.

use std::path::PathBuf;
use std::time::Duration;

use e2e::{Kubectl, Machine, Network, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);

fn up_with_busybox(machine: &Machine) -> Skiff<'_> {
    let skiff = Skiff::up(machine, &[]);
    run::ok(&mut skiff.command(&["image", "import", &image::busybox().display().to_string()]));
    skiff
}

fn claim(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } })
}

/// A pod of a user that is not root, which runs `script` with the volume at `/data`.
fn pod(name: &str, volume: Value, script: &str) -> Value {
    let mut volume = volume;
    volume["name"] = json!("data");
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "securityContext": { "runAsUser": 1000, "runAsGroup": 1000 },
        "volumes": [volume],
        "containers": [{ "name": "c", "image": "docker.io/library/busybox:1", "imagePullPolicy": "Never",
            "command": ["sh", "-c", format!("{script}; sleep 3600")],
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }] }] } })
}

fn of_claim(name: &str) -> Value {
    json!({ "persistentVolumeClaim": { "claimName": name } })
}

/// The directories of the volumes that the node keeps.
fn kept(skiff: &Skiff<'_>) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(skiff.dir.join("storage")).expect("the node keeps volumes");
    entries
        .map(|entry| entry.expect("list volumes").path())
        .collect()
}

fn delete(kubectl: &Kubectl<'_>, what: &[&str]) {
    kubectl.ok(&[&["delete", "--wait=false"], what].concat());
}

#[test]
fn data_of_a_claim_outlives_its_pods_and_goes_with_the_claim() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = up_with_busybox(&machine);
    let kubectl = skiff.kubectl();
    kubectl.apply(&claim("data"));
    kubectl.apply(&pod("writer", of_claim("data"), "echo kept > /data/file"));
    kubectl.wait_ready("writer");
    let bound = kubectl.wait(&["pvc", "data"], A_MINUTE, |c| {
        c["status"]["phase"] == "Bound"
    });
    assert_eq!(bound["spec"]["storageClassName"], "local-path");
    let directories = kept(&skiff);
    let [directory] = &*directories else {
        panic!("one volume, not {directories:?}");
    };
    kubectl.ok(&["delete", "pod", "writer"]);

    kubectl.apply(&pod("reader", of_claim("data"), "cat /data/file"));
    kubectl.wait_ready("reader");
    until("what was written", A_MINUTE, || {
        (kubectl.ok(&["logs", "reader"]).trim() == "kept").then_some(())
    });

    delete(&kubectl, &["pvc", "data"]);
    std::thread::sleep(Duration::from_secs(1));
    let ending = kubectl.get(&["pvc", "data"]);
    assert!(
        ending["metadata"]["deletionTimestamp"].is_string(),
        "{ending}"
    );
    let content = std::fs::read_to_string(directory.join("file"));
    assert_eq!(content.expect("read what the pod wrote"), "kept\n");

    delete(&kubectl, &["pod", "reader"]);
    kubectl.wait_gone(&["pvc", "data"], A_MINUTE);
    kubectl.wait_gone(&["pv"], A_MINUTE);
    assert_eq!(kept(&skiff), Vec::<PathBuf>::new());
}

#[test]
fn volume_that_a_pod_brings_along_goes_with_it() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = up_with_busybox(&machine);
    let kubectl = skiff.kubectl();
    let template =
        json!({ "metadata": { "labels": { "of": "scratch" } }, "spec": claim("")["spec"] });
    let brought = json!({ "ephemeral": { "volumeClaimTemplate": template } });
    kubectl.apply(&pod("p", brought, "touch /data/file"));
    kubectl.wait_ready("p");
    let claim = kubectl.get(&["pvc", "p-data"]);
    assert_eq!(claim["metadata"]["ownerReferences"][0]["name"], "p");
    assert_eq!(claim["metadata"]["labels"]["of"], "scratch");
    assert_eq!(kept(&skiff).len(), 1);
    delete(&kubectl, &["pod", "p"]);
    kubectl.wait_gone(&["pvc", "p-data"], A_MINUTE);
    kubectl.wait_gone(&["pv"], A_MINUTE);
    assert_eq!(kept(&skiff), Vec::<PathBuf>::new());
}

#[test]
fn class_that_was_deleted_does_not_come_back() {
    if !need::met(&["kubectl", "nsenter"]) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let mut skiff = Skiff::up(&machine, &[]);
    skiff
        .kubectl()
        .wait(&["storageclass", "local-path"], A_MINUTE, |class| {
            class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"]
                == "true"
        });
    skiff
        .kubectl()
        .ok(&["delete", "storageclass", "local-path"]);
    skiff.stop();
    skiff.start();
    skiff.wait_api();
    skiff.wait_ready("node");
    std::thread::sleep(Duration::from_secs(2));
    let classes = skiff.kubectl().get(&["storageclass"]);
    assert_eq!(classes["items"], json!([]));
}

#[test]
fn volume_stays_with_its_node_and_is_removed_when_that_is_back() {
    if !need::met(PROGRAMS) {
        return;
    }
    let mut network = Network::new();
    let (first, second) = (network.machine(), network.machine());
    let server = Skiff::up(&first, &["--node-monitor-grace-period", "15s"]);
    let token = run::ok(&mut server.command(&["token", "create"]));
    let mut agent = Skiff::agent(&second, "second", &first, token.trim());
    server.wait_ready("second");
    for skiff in [&server, &agent] {
        let busybox = image::busybox().display().to_string();
        run::ok(&mut skiff.command(&["image", "import", &busybox]));
    }
    let kubectl = server.kubectl();
    kubectl.apply(&claim("data"));
    let mut writer = pod("writer", of_claim("data"), "touch /data/file");
    writer["spec"]["nodeSelector"] = json!({ "kubernetes.io/hostname": "second" });
    kubectl.apply(&writer);
    kubectl.wait_ready("writer");
    let (here, there) = (kept(&server), kept(&agent));
    assert!(here.is_empty() && there.len() == 1, "{here:?} {there:?}");
    kubectl.ok(&["delete", "pod", "writer"]);

    // The next pod asks for no node, and has to go where the data is.
    kubectl.apply(&pod("reader", of_claim("data"), "ls /data/file"));
    let reader = kubectl.wait_ready("reader");
    assert_eq!(reader["spec"]["nodeName"], "second");
    kubectl.ok(&["delete", "pod", "reader"]);

    agent.stop();
    delete(&kubectl, &["pvc", "data"]);
    kubectl.wait(&["pv"], A_MINUTE, |volumes| {
        volumes["items"][0]["status"]["phase"] == "Failed"
    });
    assert_eq!(kept(&agent), there);
    agent.start();
    server.wait_ready("second");
    kubectl.wait_gone(&["pv"], 2 * A_MINUTE);
    assert!(kept(&agent).is_empty());
}
