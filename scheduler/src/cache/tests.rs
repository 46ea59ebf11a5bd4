use super::*;
use crate::template::Templates;
use serde_json::json;

fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "d", "uid": name },
        "spec": { "containers": [{ "resources": { "requests": { "cpu": "1" } }, "ports": [{ "hostPort": 80 }] }] },
    }))
    .unwrap()
}

fn node(name: &str) -> Node {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "status": {
            "allocatable": { "cpu": "4", "pods": "10" },
            "images": [{ "names": ["i"], "sizeBytes": 5 }],
        },
    }))
    .unwrap()
}

fn set(cache: &mut Cache, name: &str, on: &str) {
    let mut pod = pod(name);
    let template = Templates::default().take(&mut pod);
    cache.set_pod(&pod, on, template);
}

fn only(cache: &mut Cache) -> &NodeInfo {
    cache.sort_nodes();
    cache.nodes().next().unwrap()
}

#[test]
fn assumption_that_is_forgotten_leaves_the_node_as_it_was() {
    let mut cache = Cache::default();
    cache.set_node(&node("a"));
    let mut pod = pod("p");
    let template = Templates::default().take(&mut pod);
    let candidate = Candidate::new(&pod, template);
    let index = only(&mut cache).index;
    cache.assume(&candidate, index);
    assert_eq!(only(&mut cache).requested.milli_cpu, 1000);
    assert!(cache.forget(&candidate).is_some());
    let info = only(&mut cache);
    assert_eq!(
        (info.requested.milli_cpu, info.pods.len(), info.ports.len()),
        (0, 0, 0)
    );
    assert_eq!(cache.classes.all().count(), 0);
}

#[test]
fn confirmed_pod_is_counted_once_and_not_forgotten() {
    let mut cache = Cache::default();
    cache.set_node(&node("a"));
    let mut p = pod("p");
    let template = Templates::default().take(&mut p);
    let index = only(&mut cache).index;
    let candidate = Candidate::new(&p, template.clone());
    cache.assume(&candidate, index);
    assert!(!cache.set_pod(&p, "a", template));
    assert!(cache.forget(&candidate).is_none());
    assert_eq!(only(&mut cache).requested.milli_cpu, 1000);
}

#[test]
fn pod_seen_before_its_node_counts_once_the_node_is_there() {
    let mut cache = Cache::default();
    set(&mut cache, "p", "a");
    cache.sort_nodes();
    assert_eq!(cache.nodes().count(), 0);
    cache.set_node(&node("a"));
    assert_eq!(only(&mut cache).requested.milli_cpu, 1000);
}

#[test]
fn pod_that_is_seen_again_elsewhere_frees_the_node_it_was_on() {
    let mut cache = Cache::default();
    set(&mut cache, "p", "unknown");
    set(&mut cache, "p", "a");
    cache.set_node(&node("a"));
    assert_eq!(only(&mut cache).pods.len(), 1);
    set(&mut cache, "p", "other");
    assert_eq!(only(&mut cache).pods.len(), 0);
}

#[test]
fn a_node_that_goes_and_comes_back_still_counts_its_pods() {
    let mut cache = Cache::default();
    cache.set_node(&node("a"));
    set(&mut cache, "p", "a");
    assert!(cache.remove_node("a"));
    cache.sort_nodes();
    assert_eq!((cache.nodes().count(), cache.nodes_with("i")), (0, 0));
    cache.set_node(&node("a"));
    assert_eq!(only(&mut cache).pods.len(), 1);
    assert_eq!(cache.nodes_with("i"), 1);
}

#[test]
fn a_heartbeat_is_no_change() {
    let mut cache = Cache::default();
    assert!(cache.set_node(&node("a")).is_some());
    assert!(cache.set_node(&node("a")).is_none());
}
