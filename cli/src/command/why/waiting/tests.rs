use super::*;
use serde_json::json;

fn facts(pod: Value, events: &[(&str, &str, &str)]) -> Facts {
    let event = |(reason, message, time): &(&str, &str, &str)| {
        json!({ "reason": reason, "message": message, "lastTimestamp": time,
            "involvedObject": { "fieldPath": "spec.containers{c}" } })
    };
    Facts {
        pod,
        events: events.iter().map(event).collect(),
        ..Facts::default()
    }
}

/// A pod on a node, with one container in this state.
fn on_node(status: Value) -> Value {
    let up = json!({ "type": "PodReadyToStartContainers", "status": "True" });
    json!({ "spec": { "nodeName": "n" }, "status": { "phase": "Pending", "startTime": "2026-01-02T03:04:05Z",
        "conditions": [up], "containerStatuses": [status] } })
}

fn only(facts: &Facts) -> String {
    let waits = of(facts);
    assert_eq!(waits.len(), 1, "{waits:?}");
    waits[0].clone()
}

#[test]
fn a_pod_without_a_node_tells_the_schedulers_words() {
    let unscheduled = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu." });
    let pod = json!({ "status": { "phase": "Pending", "conditions": [unscheduled] } });
    assert_eq!(
        only(&facts(pod, &[])),
        "a node: 0/1 nodes are available: 1 Insufficient cpu."
    );
}

#[test]
fn a_claim_that_is_not_bound_is_named_with_its_last_event() {
    let mut facts = facts(
        json!({ "spec": { "schedulerName": "s" }, "status": {} }),
        &[],
    );
    let pending = json!({ "status": { "phase": "Pending" } });
    let event = json!({ "message": "storageclass.storage.k8s.io \"x\" not found" });
    facts.claims.push(Claim {
        name: "data".into(),
        object: pending,
        events: vec![event],
    });
    facts.claims.push(Claim {
        name: "gone".into(),
        object: Value::Null,
        events: vec![],
    });
    let waits = of(&facts);
    assert!(waits[0].contains("does it run?"), "{waits:?}");
    assert_eq!(
        waits[1],
        "PersistentVolumeClaim data, which is Pending: storageclass.storage.k8s.io \"x\" not found"
    );
    assert_eq!(waits[2], "PersistentVolumeClaim gone, which does not exist");
}

#[test]
fn an_image_that_cannot_be_pulled_is_told_with_the_registrys_error() {
    let waiting = json!({ "name": "c", "ready": false, "state": { "waiting": {
        "reason": "ImagePullBackOff", "message": "Back-off pulling image \"x\"" } } });
    let events = [
        ("Failed", "Error: ErrImagePull", "2026-01-02T03:04:09Z"),
        (
            "Failed",
            "Failed to pull image \"x\": not found",
            "2026-01-02T03:04:08Z",
        ),
    ];
    assert_eq!(
        only(&facts(on_node(waiting), &events)),
        "container c: ImagePullBackOff: Back-off pulling image \"x\"; Failed to pull image \"x\": not found"
    );
}

#[test]
fn a_container_that_crashes_tells_how_it_ended_last() {
    let crashes = json!({ "name": "c", "ready": false, "restartCount": 3,
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 1, "reason": "Error" } } });
    assert_eq!(
        only(&facts(on_node(crashes), &[])),
        "container c: CrashLoopBackOff; 3 restarts, the last run ended with Error, exit code 1"
    );
}

#[test]
fn a_failing_probe_is_told_in_its_own_words() {
    let runs = json!({ "name": "c", "ready": false, "started": true,
        "state": { "running": { "startedAt": "2026-01-02T03:04:06Z" } } });
    let events = [(
        "Unhealthy",
        "Readiness probe failed: HTTP 500",
        "2026-01-02T03:04:08Z",
    )];
    let told = only(&facts(on_node(runs), &events));
    assert!(
        told.starts_with("the readiness probe of container c"),
        "{told}"
    );
    assert!(told.ends_with("Readiness probe failed: HTTP 500"), "{told}");
}

#[test]
fn a_pod_on_a_lost_node_waits_for_the_node() {
    let mut facts = facts(on_node(json!({ "name": "c", "ready": false })), &[]);
    facts.node = json!({ "metadata": { "name": "n" }, "status": { "conditions": [
        { "type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status.",
          "lastTransitionTime": "2026-01-02T03:04:05Z" }] } });
    let told = only(&facts);
    assert!(
        told.starts_with("node n, which is not Ready since 2026"),
        "{told}"
    );
}

#[test]
fn a_ready_pod_waits_for_nothing_but_its_budget_is_noted() {
    let pod = json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "nodeName": "n" }, "status": {
        "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
    let mut facts = facts(pod, &[]);
    facts.budgets.push(json!({ "metadata": { "name": "b" },
        "spec": { "selector": { "matchLabels": { "app": "web" } } },
        "status": { "disruptionsAllowed": 0, "currentHealthy": 1, "expectedPods": 1 } }));
    assert_eq!(of(&facts), Vec::<String>::new());
    assert_eq!(state(&facts, &[]), "runs and is ready");
    assert_eq!(
        notes(&facts),
        ["PodDisruptionBudget b forbids evicting it now (1 of 1 pods are healthy)"]
    );
}
