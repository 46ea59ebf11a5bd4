//! What the cluster does by itself when something fails.

use std::time::Duration;

use e2e::{Machine, Skiff, image, need, run};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);

fn deployment(name: &str, replicas: i32, container: Value) -> Value {
    let mut container = container;
    container["name"] = "c".into();
    container["image"] = "docker.io/library/busybox:1".into();
    container["imagePullPolicy"] = "Never".into();
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": {
        "replicas": replicas, "selector": { "matchLabels": { "app": name } },
        "template": { "metadata": { "labels": { "app": name } }, "spec": {
            "terminationGracePeriodSeconds": 0, "containers": [container] } } } })
}

fn up_with_busybox(machine: &Machine) -> Skiff<'_> {
    let skiff = Skiff::up(machine, &[]);
    run::ok(&mut skiff.command(&["image", "import", &image::busybox().display().to_string()]));
    skiff
}

#[test]
fn container_that_exits_is_restarted_with_back_off() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = up_with_busybox(&machine);
    let kubectl = skiff.kubectl();
    kubectl.apply(&deployment(
        "crash",
        1,
        json!({ "command": ["sh", "-c", "exit 3"] }),
    ));
    let pods = kubectl.wait(&["pods", "-l", "app=crash"], A_MINUTE, |pods| {
        let status = &pods["items"][0]["status"]["containerStatuses"][0];
        status["restartCount"].as_i64() >= Some(1)
            && status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    let status = &pods["items"][0]["status"]["containerStatuses"][0];
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3, "{status}");
}

#[test]
fn deleted_pods_of_a_deployment_are_replaced() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = up_with_busybox(&machine);
    let kubectl = skiff.kubectl();
    kubectl.apply(&deployment(
        "web",
        2,
        json!({ "command": ["sleep", "3600"] }),
    ));
    let ready = |d: &Value| d["status"]["readyReplicas"] == 2;
    kubectl.wait(&["deployment", "web"], A_MINUTE, ready);
    let uids = || -> Vec<String> {
        let pods = kubectl.get(&["pods", "-l", "app=web"]);
        let items = pods["items"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .map(|p| p["metadata"]["uid"].to_string())
            .collect()
    };
    let before = uids();
    kubectl.ok(&["delete", "pods", "-l", "app=web", "--wait=true"]);
    kubectl.wait(&["deployment", "web"], A_MINUTE, ready);
    let after = uids();
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|uid| !before.contains(uid)));
}

#[test]
fn failing_readiness_probe_takes_the_pod_out_of_its_service() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = up_with_busybox(&machine);
    let kubectl = skiff.kubectl();
    let probe = json!({ "exec": { "command": ["test", "!", "-e", "/tmp/sick"] }, "periodSeconds": 1, "failureThreshold": 1 });
    kubectl.apply(&deployment(
        "web",
        2,
        json!({ "command": ["sleep", "3600"], "readinessProbe": probe }),
    ));
    kubectl.ok(&["expose", "deployment", "web", "--port=80"]);
    let endpoints = |wanted: usize| {
        kubectl.wait(
            &["endpointslices", "-l", "kubernetes.io/service-name=web"],
            A_MINUTE,
            |slices| {
                let endpoints = slices["items"][0]["endpoints"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                endpoints
                    .iter()
                    .filter(|e| e["conditions"]["ready"] == true)
                    .count()
                    == wanted
            },
        )
    };
    endpoints(2);
    let pods = kubectl.get(&["pods", "-l", "app=web"]);
    let name = pods["items"][0]["metadata"]["name"]
        .as_str()
        .expect("the pod has a name")
        .to_owned();
    kubectl.ok(&["exec", &name, "--", "touch", "/tmp/sick"]);
    endpoints(1);
    kubectl.ok(&["exec", &name, "--", "rm", "/tmp/sick"]);
    endpoints(2);
}
