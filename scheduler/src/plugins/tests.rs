use super::*;
use crate::cache::Cache;
use serde_json::{Value, json};

fn pod(spec: Value) -> Candidate {
    let pod = json!({ "metadata": { "name": "p", "namespace": "d" }, "spec": spec });
    Candidate::new(&serde_json::from_value(pod).unwrap())
}

fn on_node(node: Value, check: impl Fn(&NodeInfo)) {
    let mut cache = Cache::default();
    cache.set_node(&serde_json::from_value(node).unwrap());
    check(cache.nodes().next().unwrap());
}

fn refused(filter: Filter, pod: &Candidate, node: &NodeInfo) -> Vec<String> {
    filter(pod, node)
        .err()
        .map(|r| r.reasons)
        .unwrap_or_default()
}

#[test]
fn cordoned_node_is_refused_unless_the_cordon_is_tolerated() {
    let node = json!({ "metadata": { "name": "a" }, "spec": { "unschedulable": true } });
    on_node(node, |node| {
        let plain = pod(json!({}));
        assert_eq!(
            refused(node_unschedulable::filter, &plain, node),
            ["node(s) were unschedulable"]
        );
        let daemon = pod(json!({ "tolerations": [
            { "key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule" }] }));
        assert!(refused(node_unschedulable::filter, &daemon, node).is_empty());
    });
}

#[test]
fn taint_is_refused_by_key_value_and_effect() {
    let node = json!({ "metadata": { "name": "a" },
        "spec": { "taints": [{ "key": "gpu", "value": "yes", "effect": "NoSchedule" }] } });
    on_node(node, |node| {
        let wrong = pod(json!({ "tolerations": [{ "key": "gpu", "value": "no" }] }));
        assert_eq!(
            refused(taint_toleration::filter, &wrong, node),
            ["node(s) had untolerated taint {gpu: yes}"]
        );
        let right = pod(json!({ "tolerations": [{ "key": "gpu", "value": "yes" }] }));
        assert!(refused(taint_toleration::filter, &right, node).is_empty());
        let all = pod(json!({ "tolerations": [{ "operator": "Exists" }] }));
        assert!(refused(taint_toleration::filter, &all, node).is_empty());
    });
}

#[test]
fn affinity_terms_are_alternatives_and_their_expressions_all_count() {
    let node = json!({ "metadata": { "name": "a", "labels": { "disk": "ssd", "cores": "8" } } });
    on_node(node, |node| {
        let want = |terms: Value| {
            pod(json!({ "affinity": { "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } }))
        };
        let both = want(json!([{ "matchExpressions": [
            { "key": "disk", "operator": "In", "values": ["ssd"] },
            { "key": "cores", "operator": "Gt", "values": ["4"] }] }]));
        assert!(refused(node_affinity::filter, &both, node).is_empty());
        let either = want(json!([
            { "matchExpressions": [{ "key": "disk", "operator": "DoesNotExist" }] },
            { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["a"] }] }]));
        assert!(refused(node_affinity::filter, &either, node).is_empty());
        let neither = want(
            json!([{ "matchExpressions": [{ "key": "cores", "operator": "Lt", "values": ["8"] }] }]),
        );
        assert_eq!(refused(node_affinity::filter, &neither, node).len(), 1);
        assert_eq!(
            refused(node_affinity::filter, &want(json!([{}])), node).len(),
            1
        );
    });
}

#[test]
fn every_shortage_of_a_node_is_named() {
    let node = json!({ "metadata": { "name": "a" },
        "status": { "allocatable": { "cpu": "1", "memory": "1Gi", "pods": "10" } } });
    on_node(node, |node| {
        let big = pod(json!({ "containers": [{ "resources": { "requests": {
            "cpu": "2", "memory": "2Gi", "example.com/gpu": "1" } } }] }));
        assert_eq!(
            refused(node_resources::filter, &big, node),
            [
                "Insufficient cpu",
                "Insufficient memory",
                "Insufficient example.com/gpu"
            ]
        );
        let fits = pod(json!({ "containers": [{ "resources": { "requests": { "cpu": "1" } } }] }));
        assert!(refused(node_resources::filter, &fits, node).is_empty());
    });
}
