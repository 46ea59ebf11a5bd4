//! StatefulSets and DaemonSets on a real node, rolled out and back by the real
//! kubectl and by skiff's own.

use std::time::Duration;

use e2e::{Kubectl, Machine, Skiff, image, need, run};
use serde_json::{Value, json};

const PROGRAMS: &[&str] = &["kubectl", "skopeo", "umoci", "busybox", "nsenter"];
const A_MINUTE: Duration = Duration::from_secs(60);

/// A workload whose pods tell the word in their environment.
fn workload(kind: &str, name: &str, more: &Value) -> Value {
    let container = json!({ "name": "c", "image": "docker.io/library/busybox:1",
        "imagePullPolicy": "Never", "env": [{ "name": "WORD", "value": "one" }],
        "command": ["sh", "-c", "echo $WORD; exec sleep 3600"] });
    let mut spec = json!({ "selector": { "matchLabels": { "app": name } },
        "template": { "metadata": { "labels": { "app": name } }, "spec": {
            "terminationGracePeriodSeconds": 0, "containers": [container] } } });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// What the template says, and how many pods were made of it.
fn word(kubectl: &Kubectl<'_>, what: &str) -> String {
    let workload = kubectl.get(&[what]);
    let env = &workload["spec"]["template"]["spec"]["containers"][0]["env"][0];
    env["value"].as_str().unwrap_or_default().to_owned()
}

fn is_rolled_out(kubectl: &Kubectl<'_>, what: &str) {
    let mut status = kubectl.command(&["rollout", "status", what, "--timeout=60s"]);
    let output = run::output(&mut status);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let there = kubectl.ok(&["describe", "nodes,pods"]);
        panic!("{what} is not rolled out: {said}\n{there}");
    }
    let is_told = said.contains("successfully rolled out") || said.contains("complete");
    assert!(is_told, "{said}");
}

fn rolls_out_and_back_by_kubectl(kubectl: &Kubectl<'_>, what: &str, first_pod: &str) {
    is_rolled_out(kubectl, what);
    kubectl.ok(&["set", "env", what, "WORD=two"]);
    is_rolled_out(kubectl, what);
    let history = kubectl.ok(&["rollout", "history", what]);
    assert!(
        history.contains("\n1 ") && history.contains("\n2 "),
        "{history}"
    );
    let second = kubectl.ok(&["rollout", "history", what, "--revision=2"]);
    assert!(
        second.contains("WORD:") && second.contains("two"),
        "{second}"
    );
    kubectl.ok(&["rollout", "undo", what]);
    is_rolled_out(kubectl, what);
    assert_eq!(word(kubectl, what), "one");
    let logs = kubectl.ok(&["logs", first_pod]);
    assert!(logs.contains("one"), "{what}: {logs:?}");
    kubectl.ok(&["rollout", "restart", what]);
    is_rolled_out(kubectl, what);
    let history = kubectl.ok(&["rollout", "history", what]);
    assert!(history.contains("\n4 "), "{history}");
}

fn rolls_back_by_skiff(skiff: &Skiff<'_>, what: &str) {
    let history = run::ok(&mut skiff.command(&["rollout", "history", what]));
    assert!(
        history.contains("\n2 ") && history.contains("\n4 "),
        "{history}"
    );
    let undo = run::ok(&mut skiff.command(&["rollout", "undo", what, "--to-revision=2"]));
    assert!(undo.contains("rolled back"), "{undo}");
    run::ok(&mut skiff.command(&["rollout", "status", what, "--timeout=60s"]));
    assert_eq!(word(&skiff.kubectl(), what), "two");
    let again = run::ok(&mut skiff.command(&["rollout", "undo", what, "--to-revision=5"]));
    assert!(again.contains("skipped rollback"), "{again}");
}

#[test]
fn stateful_and_daemon_sets_roll_out_and_back_by_kubectl_and_by_skiff() {
    if !need::met(PROGRAMS) {
        return;
    }
    let (_network, machine) = Machine::alone();
    let skiff = Skiff::up(&machine, &[]);
    run::ok(&mut skiff.command(&["image", "import", &image::busybox().display().to_string()]));
    let kubectl = skiff.kubectl();
    kubectl.apply(&workload(
        "StatefulSet",
        "ss",
        &json!({ "replicas": 2, "serviceName": "ss" }),
    ));
    rolls_out_and_back_by_kubectl(&kubectl, "statefulset/ss", "ss-1");
    rolls_back_by_skiff(&skiff, "statefulset/ss");
    kubectl.apply(&workload("DaemonSet", "ds", &json!({})));
    rolls_out_and_back_by_kubectl(&kubectl, "daemonset/ds", "daemonset/ds");
    rolls_back_by_skiff(&skiff, "daemonset/ds");
    kubectl.ok(&["delete", "statefulset/ss", "daemonset/ds"]);
    kubectl.wait_gone(&["pods"], A_MINUTE);
}
