use crate::world::{World, asking, node, pod};
use serde_json::{Value, json};

mod plain;
mod storage;
mod topology;

/// What one node says to one pod: nothing, or what it lacks.
fn refusal(node: Value, pod: Value) -> String {
    match World::new([node]).choose(pod) {
        Ok(_) => String::new(),
        Err(message) => {
            let reasons = message.strip_prefix("0/1 nodes are available: 1 ");
            reasons.unwrap_or(&message).to_owned()
        }
    }
}

fn with_spec(spec: Value) -> Value {
    pod("p", json!({}), spec)
}

#[test]
fn cordoned_node_is_refused_unless_the_cordon_is_tolerated() {
    let mut cordoned = node("a", json!({}));
    cordoned["spec"] = json!({ "unschedulable": true });
    let plain = refusal(cordoned.clone(), with_spec(json!({})));
    assert_eq!(plain, "node(s) were unschedulable.");
    let toleration = json!({ "key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule" });
    let daemon = with_spec(json!({ "tolerations": [toleration] }));
    assert_eq!(refusal(cordoned, daemon), "");
}

#[test]
fn taints_that_are_not_tolerated_keep_the_pod_off() {
    let tainted = |effect: &str| {
        let mut node = node("a", json!({}));
        node["spec"] = json!({ "taints": [{ "key": "gpu", "value": "yes", "effect": effect }] });
        node
    };
    let with =
        |value: &str| with_spec(json!({ "tolerations": [{ "key": "gpu", "value": value }] }));
    let refused = "node(s) had untolerated taint(s).";
    assert_eq!(refusal(tainted("NoSchedule"), with("no")), refused);
    assert_eq!(refusal(tainted("NoExecute"), with("no")), refused);
    assert_eq!(refusal(tainted("NoSchedule"), with("yes")), "");
    assert_eq!(refusal(tainted("PreferNoSchedule"), with("no")), "");
}

#[test]
fn soft_taints_are_avoided() {
    let mut tainted = node("a", json!({}));
    tainted["spec"] = json!({ "taints": [{ "key": "k", "effect": "PreferNoSchedule" }] });
    let mut world = World::new([tainted, node("b", json!({}))]);
    for _ in 0..3 {
        assert_eq!(world.choose(with_spec(json!({}))).unwrap(), "b");
    }
}

/// [sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is
/// respected if matching  [Conformance], and if not matching  [Conformance]
#[test]
fn node_selector_and_required_affinity_choose_the_node() {
    let ssd = node("a", json!({ "disk": "ssd" }));
    let selecting = |disk: &str| with_spec(json!({ "nodeSelector": { "disk": disk } }));
    let refused = "node(s) didn't match Pod's node affinity/selector.";
    assert_eq!(refusal(ssd.clone(), selecting("ssd")), "");
    assert_eq!(refusal(ssd.clone(), selecting("hdd")), refused);
    let requiring = |terms: Value| {
        with_spec(json!({ "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } }))
    };
    let not = json!([{ "matchExpressions": [{ "key": "disk", "operator": "NotIn", "values": ["ssd"] }] }]);
    assert_eq!(refusal(ssd.clone(), requiring(not)), refused);
    let named = |names: Value| json!({ "key": "metadata.name", "operator": "In", "values": names });
    let both = json!([{ "matchFields": [named(json!(["a"])), named(json!(["b"]))] }]);
    assert_eq!(
        refusal(ssd, requiring(both)),
        "0/1 nodes are available: pod affinity terms conflict."
    );
}

#[test]
fn preferred_node_affinity_outweighs_room() {
    let mut world = World::new([node("a", json!({ "disk": "ssd" })), node("b", json!({}))]);
    world.place(asking("load", "1", 0), "a");
    let ssd = json!({ "matchExpressions": [{ "key": "disk", "operator": "Exists" }] });
    let preferring = with_spec(json!({ "affinity": { "nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "preference": ssd }] } } }));
    assert_eq!(world.choose(preferring).unwrap(), "a");
}

#[test]
fn affinity_of_the_profile_holds_for_every_pod() {
    let mut world = World::new([node("a", json!({}))]);
    let required = json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
        { "matchExpressions": [{ "key": "pool", "operator": "Exists" }] }] } });
    world.profile.added_affinity = Some(serde_json::from_value(required).unwrap());
    assert_eq!(
        world.choose(with_spec(json!({}))).unwrap_err(),
        "0/1 nodes are available: 1 node(s) didn't match scheduler-enforced node affinity."
    );
}

#[test]
fn a_host_port_is_had_once() {
    let mut world = World::new([node("a", json!({}))]);
    let with_port = |name: &str, ip: &str| {
        let ports = json!([{ "hostPort": 80, "hostIP": ip, "protocol": "TCP" }]);
        pod(
            name,
            json!({}),
            json!({ "containers": [{ "ports": ports }] }),
        )
    };
    world.place(with_port("first", "127.0.0.1"), "a");
    assert!(world.choose(with_port("p", "127.0.0.2")).is_ok());
    assert_eq!(
        world.choose(with_port("p", "0.0.0.0")).unwrap_err(),
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    );
}

#[test]
fn every_shortage_of_a_node_is_named() {
    let requests = json!({ "cpu": "9", "memory": "9Gi", "example.com/gpu": "1" });
    let big = with_spec(json!({ "containers": [{ "resources": { "requests": requests } }] }));
    let message = World::new([node("a", json!({}))]).choose(big).unwrap_err();
    assert_eq!(
        message,
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient example.com/gpu, 1 Insufficient memory."
    );
    let mut full = node("a", json!({}));
    full["status"]["allocatable"]["pods"] = "0".into();
    assert_eq!(refusal(full, with_spec(json!({}))), "Too many pods.");
}

#[test]
fn the_strategy_of_the_profile_spreads_or_packs() {
    let mut world = World::new([node("a", json!({})), node("b", json!({}))]);
    world.place(asking("load", "1", 0), "a");
    assert_eq!(world.choose(asking("p", "1", 0)).unwrap(), "b");
    world.profile.fit.strategy = crate::scoring::Strategy::MostAllocated;
    world
        .profile
        .scores
        .retain(|(at, _)| super::ALL[*at].name == "NodeResourcesFit");
    for _ in 0..2 {
        assert_eq!(world.choose(asking("p", "1", 0)).unwrap(), "a");
    }
}

#[test]
fn resources_are_used_alike() {
    let mut world = World::new([node("a", json!({})), node("b", json!({}))]);
    let using = |name: &str, cpu: &str, memory: &str| {
        let requests = json!({ "cpu": cpu, "memory": memory });
        pod(
            name,
            json!({}),
            json!({ "containers": [{ "resources": { "requests": requests } }] }),
        )
    };
    world
        .profile
        .scores
        .retain(|(at, _)| super::ALL[*at].name == "NodeResourcesBalancedAllocation");
    world.place(using("cpu", "2", "1Gi"), "a");
    world.place(using("memory", "500m", "4Gi"), "b");
    for _ in 0..2 {
        assert_eq!(world.choose(using("p", "100m", "3Gi")).unwrap(), "a");
        assert_eq!(world.choose(using("p", "1500m", "1Mi")).unwrap(), "b");
    }
}

#[test]
fn a_node_that_has_the_image_is_preferred() {
    let mut with_image = node("b", json!({}));
    with_image["status"]["images"] =
        json!([{ "names": ["docker.io/library/big:1"], "sizeBytes": 900 * 1024 * 1024 }]);
    let mut world = World::new([node("a", json!({})), with_image]);
    let container = json!({ "image": "big:1" });
    for _ in 0..2 {
        let pod = with_spec(json!({ "containers": [container] }));
        assert_eq!(world.choose(pod).unwrap(), "b");
    }
}
