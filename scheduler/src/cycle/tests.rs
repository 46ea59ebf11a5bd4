use super::*;
use crate::world::{World, asking, node, pod};
use serde_json::json;

#[test]
fn pod_goes_to_the_node_with_the_most_room() {
    let mut world = World::new([node("a", json!({})), node("b", json!({}))]);
    world.place(asking("first", "2", 0), "a");
    assert_eq!(world.choose(asking("p", "1", 0)).unwrap(), "b");
}

#[test]
fn equal_nodes_take_turns() {
    let mut world = World::new([node("a", json!({})), node("b", json!({}))]);
    let first = world.choose(asking("p", "1", 0)).unwrap();
    assert_ne!(world.choose(asking("p", "1", 0)).unwrap(), first);
}

/// [sig-scheduling] SchedulerPredicates [Serial] validates resource limits of
/// pods that are allowed to run  [Conformance]
#[test]
fn refusal_counts_the_nodes_by_reason_in_kubernetes_words() {
    let mut tainted = node("c", json!({}));
    tainted["spec"] = json!({ "taints": [{ "key": "k", "value": "v", "effect": "NoSchedule" }] });
    let nodes = [node("a", json!({})), node("b", json!({})), tainted];
    let refused = World::new(nodes).choose(asking("p", "5", 0)).unwrap_err();
    assert_eq!(
        refused,
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu."
    );
    let empty = World::new([]).choose(asking("p", "2", 0)).unwrap_err();
    assert_eq!(empty, "no nodes available to schedule pods");
}

#[test]
fn a_plugin_that_refuses_all_nodes_at_once_is_quoted_without_a_count() {
    let mut world = World::new([node("a", json!({})), node("b", json!({}))]);
    let volumes = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": "c" } }]);
    let refused = world.choose(pod("p", json!({}), json!({ "volumes": volumes })));
    assert_eq!(
        refused.unwrap_err(),
        "0/2 nodes are available: persistentvolumeclaim \"c\" not found."
    );
}

#[test]
fn a_pod_for_one_node_by_name_is_told_of_that_node_and_of_the_others() {
    let mut world = World::new([node("a", json!({})), node("b", json!({}))]);
    let on = |name: &str, cpu: &str| {
        let fields = json!([{ "key": "metadata.name", "operator": "In", "values": [name] }]);
        let required = json!({ "nodeSelectorTerms": [{ "matchFields": fields }] });
        let mut pod = asking("p", cpu, 0);
        pod["spec"]["affinity"] = json!({ "nodeAffinity":
            { "requiredDuringSchedulingIgnoredDuringExecution": required } });
        pod
    };
    assert_eq!(world.choose(on("b", "1")).unwrap(), "b");
    assert_eq!(
        world.choose(on("b", "5")).unwrap_err(),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    );
}

#[test]
fn large_clusters_are_looked_at_in_part() {
    assert_eq!(enough_nodes(100, None), 100);
    assert_eq!(enough_nodes(500, None), 230);
    assert_eq!(enough_nodes(5000, None), 500);
    assert_eq!(enough_nodes(5000, Some(100)), 5000);
    assert_eq!(enough_nodes(5000, Some(1)), 100);
}

#[test]
fn a_part_of_the_nodes_is_a_part_of_each_zone() {
    let zone = |zone: &str| json!({ "topology.kubernetes.io/zone": zone });
    let names = [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b")];
    let world = World::new(names.map(|(name, z)| node(name, zone(z))));
    let order = world
        .cluster
        .cache
        .nodes()
        .map(|node| node.name.to_string());
    assert_eq!(order.collect::<Vec<_>>(), ["a1", "b1", "a2", "a3"]);
}

#[test]
fn room_that_is_being_made_is_left_to_whom_it_is_made_for() {
    let mut world = World::new([node("a", json!({}))]);
    let mut important = asking("important", "3", 10);
    important["status"] = json!({ "nominatedNodeName": "a" });
    let important = world.candidate(important);
    world.nominations.set(&important);
    assert!(world.choose(asking("p", "2", 10)).is_err());
    assert_eq!(world.choose(asking("p", "1", 10)).unwrap(), "a");
    assert_eq!(world.choose(asking("higher", "2", 11)).unwrap(), "a");
    assert_eq!(world.choose_for(&important).unwrap(), "a");
}
