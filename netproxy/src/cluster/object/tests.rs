use serde_json::json;

use super::*;

fn service(spec: serde_json::Value) -> Service {
    let object = json!({ "metadata": { "name": "web", "namespace": "default" }, "spec": spec });
    serde_json::from_value::<ServiceObject>(object)
        .unwrap()
        .into_service()
}

fn endpoints(of: serde_json::Value) -> Vec<Endpoint> {
    let object = json!({
        "metadata": {
            "name": "web-abc", "namespace": "default",
            "labels": { "kubernetes.io/service-name": "web", "other": "x" },
            "managedFields": [{ "manager": "m", "fieldsV1": { "f:x": {} } }],
        },
        "addressType": "IPv4", "endpoints": of, "ports": [{ "name": "", "port": 8080 }],
    });
    let slice = serde_json::from_value::<SliceObject>(object)
        .unwrap()
        .into_slice()
        .unwrap();
    assert_eq!(&*slice.service, "web");
    slice.endpoints
}

#[test]
fn port_without_protocol_is_tcp_and_sctp_is_left_out() {
    let found = service(json!({ "clusterIP": "10.96.0.7", "ports": [
        { "port": 80, "nodePort": 30080 },
        { "name": "s", "protocol": "SCTP", "port": 81 },
    ]}));
    assert_eq!(
        found.target,
        Target::ClusterIps(vec!["10.96.0.7".parse().unwrap()])
    );
    let port = ServicePort {
        name: "".into(),
        protocol: Protocol::Tcp,
        port: 80,
        node_port: Some(30080),
    };
    assert_eq!(found.ports, [port]);
}

#[test]
fn affinity_lasts_three_hours_unless_said() {
    let spec = json!({ "sessionAffinity": "ClientIP" });
    assert_eq!(service(spec).affinity, Some(Duration::from_secs(10_800)));
    let spec = json!({
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 5 } },
    });
    assert_eq!(service(spec).affinity, Some(Duration::from_secs(5)));
    assert_eq!(service(json!({ "sessionAffinity": "None" })).affinity, None);
}

#[test]
fn cluster_ip_none_is_headless_and_external_name_is_a_name() {
    assert_eq!(
        service(json!({ "clusterIP": "None" })).target,
        Target::Headless
    );
    let external = json!({ "type": "ExternalName", "externalName": "example.com" });
    assert_eq!(
        service(external).target,
        Target::ExternalName("example.com".to_owned())
    );
}

#[test]
fn endpoint_without_conditions_is_ready() {
    let found = endpoints(json!([{ "addresses": ["10.244.0.9"] }]));
    assert_eq!(found[0].readiness, Readiness::Ready);
}

#[test]
fn terminating_endpoint_that_still_serves_is_told_from_one_that_does_not() {
    let found = endpoints(json!([
        { "addresses": ["10.244.0.9"], "conditions": { "ready": false, "serving": true, "terminating": true } },
        { "addresses": ["10.244.0.8"], "conditions": { "ready": false, "serving": false, "terminating": true } },
        { "addresses": ["10.244.0.7"], "conditions": { "ready": false } },
    ]));
    let readiness: Vec<Readiness> = found.iter().map(|endpoint| endpoint.readiness).collect();
    let not = Readiness::NotReady;
    assert_eq!(readiness, [Readiness::ServingWhileTerminating, not, not]);
}

#[test]
fn endpoint_whose_address_is_no_ipv4_is_left_out() {
    assert!(endpoints(json!([{ "addresses": ["fd00::1"] }, { "addresses": [] }])).is_empty());
}

#[test]
fn slice_with_null_lists_has_no_endpoints() {
    assert!(endpoints(serde_json::Value::Null).is_empty());
}
