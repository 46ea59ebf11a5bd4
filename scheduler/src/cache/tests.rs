use super::*;
use serde_json::json;

fn pod(name: &str, cpu: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "d", "uid": name },
        "spec": { "containers": [{ "resources": { "requests": { "cpu": cpu } }, "ports": [{ "hostPort": 80 }] }] },
    }))
    .unwrap()
}

fn node(name: &str) -> Node {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "status": { "allocatable": { "cpu": "4", "pods": "10" } },
    }))
    .unwrap()
}

#[test]
fn assumption_that_is_forgotten_leaves_the_node_as_it_was() {
    let mut cache = Cache::default();
    cache.set_node(&node("a"));
    cache.assume(&Candidate::new(&pod("p", "1")), "a");
    assert_eq!(cache.nodes().next().unwrap().requested.milli_cpu, 1000);
    cache.forget("d/p");
    let info = cache.nodes().next().unwrap();
    assert_eq!(
        (info.requested.milli_cpu, info.pods, info.ports.len()),
        (0, 0, 0)
    );
}

#[test]
fn confirmed_pod_is_counted_once_and_not_forgotten() {
    let mut cache = Cache::default();
    cache.set_node(&node("a"));
    let p = pod("p", "1");
    cache.assume(&Candidate::new(&p), "a");
    cache.set_pod(&p, "a");
    cache.forget("d/p");
    assert_eq!(cache.nodes().next().unwrap().requested.milli_cpu, 1000);
}

#[test]
fn pod_seen_before_its_node_counts_once_the_node_is_there() {
    let mut cache = Cache::default();
    cache.set_pod(&pod("p", "1"), "a");
    assert_eq!(cache.nodes().count(), 0);
    cache.set_node(&node("a"));
    assert_eq!(cache.nodes().next().unwrap().requested.milli_cpu, 1000);
}

#[test]
fn host_ports_conflict_on_any_address_or_the_same() {
    let port = |ip: &str| HostPort {
        ip: ip.into(),
        protocol: "TCP".into(),
        port: 80,
    };
    assert!(port("").conflicts_with(&port("10.0.0.1")));
    assert!(port("10.0.0.1").conflicts_with(&port("10.0.0.1")));
    assert!(!port("10.0.0.2").conflicts_with(&port("10.0.0.1")));
}
