//! What the conformance suite asks of workloads that serve: real containers.

use std::time::Duration;

use e2e::{Kubectl, Machine, Skiff, image, need, run, until};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);
const REPLICAS: usize = 2;

/// The template of pods that tell who they are, over HTTP and TCP.
fn template() -> Value {
    let script = "mkdir /tmp/www && hostname > /tmp/www/index.html && \
                  exec busybox httpd -f -p 9376 -h /tmp/www";
    json!({ "metadata": { "labels": { "name": "serve" } }, "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{ "name": "c", "image": "docker.io/library/busybox:1",
            "imagePullPolicy": "Never", "command": ["sh", "-c", script],
            "ports": [{ "containerPort": 9376 }] }] } })
}

fn pods(kubectl: &Kubectl<'_>) -> Vec<Value> {
    let pods = kubectl.get(&["pods", "-l", "name=serve"]);
    pods["items"].as_array().cloned().unwrap_or_default()
}

/// Each of its pods answers with its own name, asked through the API server.
fn serves(workload: &Value) {
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::up(&machine, &[]);
    run::ok(&mut skiff.command(&["image", "import", &image::busybox().display().to_string()]));
    let kubectl = skiff.kubectl();
    kubectl.apply(workload);
    let pods = until("the pods are there", A_MINUTE, || {
        let pods = pods(&kubectl);
        (pods.len() == REPLICAS).then_some(pods)
    });
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().expect("pods have names");
        let pod = kubectl.wait_ready(name);
        assert_eq!(pod["status"]["phase"], "Running");
        let path = format!("/api/v1/namespaces/default/pods/{name}:9376/proxy/");
        until(&format!("{name} answers"), A_MINUTE, || {
            let answer = run::output(&mut kubectl.command(&["get", "--raw", &path]));
            (String::from_utf8_lossy(&answer.stdout).trim() == name).then_some(())
        });
    }
}

#[test]
fn sig_apps_replicaset_should_serve_a_basic_image_on_each_replica_with_a_public_image() {
    if !need::met(PROGRAMS) {
        return;
    }
    serves(
        &json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "serve" },
        "spec": { "replicas": REPLICAS, "selector": { "matchLabels": { "name": "serve" } },
            "template": template() } }),
    );
}

#[test]
fn sig_apps_replicationcontroller_should_serve_a_basic_image_on_each_replica_with_a_public_image() {
    if !need::met(PROGRAMS) {
        return;
    }
    serves(
        &json!({ "apiVersion": "v1", "kind": "ReplicationController", "metadata": { "name": "serve" },
        "spec": { "replicas": REPLICAS, "selector": { "name": "serve" },
            "template": template() } }),
    );
}
