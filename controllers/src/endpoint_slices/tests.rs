use super::*;
use serde_json::{Value, json};

fn service(spec: Value) -> Service {
    let mut service = json!({ "metadata": { "name": "s", "namespace": "d", "labels": { "team": "x" } },
        "spec": { "selector": { "app": "a" }, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] } });
    for (key, value) in spec.as_object().unwrap() {
        service["spec"][key] = value.clone();
    }
    serde_json::from_value(service).unwrap()
}

fn pod(ready: bool, terminating: bool) -> Arc<Pod> {
    let deletion = terminating.then_some("2026-01-01T00:00:00Z");
    Arc::new(
        serde_json::from_value(json!({
            "metadata": { "name": "p", "namespace": "d", "uid": "u", "deletionTimestamp": deletion },
            "spec": { "nodeName": "n" },
            "status": { "podIPs": [{ "ip": "10.0.0.1" }],
                "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }] } }))
        .unwrap(),
    )
}

fn node(name: &str) -> Option<Arc<Node>> {
    let node = json!({ "metadata": { "name": name, "labels": { ZONE: "z1" } } });
    Some(Arc::new(serde_json::from_value(node).unwrap()))
}

fn conditions(service: &Service, ready: bool, terminating: bool) -> [Option<bool>; 3] {
    let groups = groups(service, &[pod(ready, terminating)], "IPv4", node);
    let conditions = groups[0].endpoints[0].conditions.clone().unwrap();
    [conditions.ready, conditions.serving, conditions.terminating]
}

#[test]
fn endpoint_tells_its_pod_node_and_zone() {
    let groups = groups(&service(json!({})), &[pod(true, false)], "IPv4", node);
    let endpoint = &groups[0].endpoints[0];
    assert_eq!(endpoint.addresses, ["10.0.0.1"]);
    assert_eq!(endpoint.node_name.as_deref(), Some("n"));
    assert_eq!(endpoint.zone.as_deref(), Some("z1"));
    assert_eq!(
        endpoint.target_ref.as_ref().unwrap().uid.as_deref(),
        Some("u")
    );
    assert_eq!(groups[0].ports[0].port, Some(8080));
}

#[test]
fn ending_pod_still_serves_but_is_not_ready() {
    let service = service(json!({}));
    let yes_no = |values: [bool; 3]| values.map(Some);
    assert_eq!(
        conditions(&service, true, false),
        yes_no([true, true, false])
    );
    assert_eq!(
        conditions(&service, true, true),
        yes_no([false, true, true])
    );
    assert_eq!(
        conditions(&service, false, false),
        yes_no([false, false, false])
    );
}

#[test]
fn service_that_publishes_what_is_not_ready_calls_it_ready() {
    let service = service(json!({ "publishNotReadyAddresses": true }));
    assert_eq!(
        conditions(&service, false, true),
        [Some(true), Some(false), Some(true)]
    );
}

#[test]
fn pod_of_a_node_that_is_not_there_does_not_serve() {
    let groups = groups(&service(json!({})), &[pod(true, false)], "IPv4", |_| None);
    assert!(groups.is_empty());
}

#[test]
fn headless_service_needs_no_ports() {
    let headless = service(json!({ "clusterIP": "None", "ports": [] }));
    let groups = groups(&headless, &[pod(true, false)], "IPv4", node);
    assert_eq!(groups[0].endpoints.len(), 1);
    assert!(groups[0].ports.is_empty());
    let labels = frame(&headless, "IPv4").labels;
    assert_eq!(labels["service.kubernetes.io/headless"], "");
    assert_eq!(labels["team"], "x");
    assert_eq!(labels[SERVICE_NAME], "s");
}
