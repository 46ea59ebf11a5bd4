use super::*;
use crate::plugins::volume_binding;
use crate::storage::Plan;

const ZONE: &str = "topology.kubernetes.io/zone";

fn using(name: &str, claim: &str) -> Value {
    let volumes = json!([{ "name": "v", "persistentVolumeClaim": { "claimName": claim } }]);
    pod(name, json!({}), json!({ "volumes": volumes }))
}

fn claim(name: &str, class: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "d", "uid": name, "resourceVersion": "1" },
        "spec": { "storageClassName": class, "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": "1Gi" } } },
    })
}

fn bound(name: &str, volume: &str) -> Value {
    let mut claim = claim(name, "c");
    claim["spec"]["volumeName"] = volume.into();
    claim["metadata"]["annotations"] = json!({ "pv.kubernetes.io/bind-completed": "yes" });
    claim
}

/// A free volume that only this node reaches.
fn volume(name: &str, node: &str, size: &str) -> Value {
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
    json!({
        "metadata": { "name": name, "resourceVersion": "1" },
        "spec": { "storageClassName": "local", "accessModes": ["ReadWriteOnce"], "capacity": { "storage": size },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } } },
        "status": { "phase": "Available" },
    })
}

fn class(world: &mut World, name: &str, provisioner: &str, mode: &str) {
    let class = json!({ "metadata": { "name": name }, "provisioner": provisioner, "volumeBindingMode": mode });
    let class = serde_json::from_value(class).unwrap();
    world.cluster.storage.classes.insert(name.into(), class);
}

fn two_nodes() -> World {
    let host = |name: &str| node(name, json!({ "kubernetes.io/hostname": name, ZONE: name }));
    let mut world = World::new([host("a"), host("b")]);
    class(
        &mut world,
        "local",
        "kubernetes.io/no-provisioner",
        "WaitForFirstConsumer",
    );
    class(
        &mut world,
        "made",
        "example.com/maker",
        "WaitForFirstConsumer",
    );
    class(&mut world, "now", "example.com/maker", "Immediate");
    world
}

fn plan_on(world: &mut World, pod: Value, node: &str) -> Plan {
    let pod = world.candidate(pod);
    let node = world.cluster.cache.find(node).unwrap();
    volume_binding::plan(&world.cluster, &pod, node)
}

#[test]
fn claims_that_are_not_ready_keep_the_pod_from_every_node() {
    let mut world = two_nodes();
    world.set_claim(claim("unbound", "now"));
    let mut ending = bound("ending", "v");
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    world.set_claim(ending);
    let mut lost = bound("lost", "v");
    lost["status"] = json!({ "phase": "Lost" });
    world.set_claim(lost);
    let refused = [
        ("none", "persistentvolumeclaim \"none\" not found"),
        (
            "unbound",
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (
            "ending",
            "persistentvolumeclaim \"ending\" is being deleted",
        ),
        (
            "lost",
            "persistentvolumeclaim \"lost\" bound to non-existent persistentvolume \"v\"",
        ),
    ];
    for (claim, reason) in refused {
        let message = world.choose(using("p", claim)).unwrap_err();
        assert_eq!(message, format!("0/2 nodes are available: {reason}."));
    }
    let ephemeral = json!({ "volumes": [{ "name": "scratch", "ephemeral": {} }] });
    let message = world.choose(pod("p", json!({}), ephemeral)).unwrap_err();
    assert!(message.contains(
        "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-scratch\""
    ));
}

#[test]
fn a_bound_claim_takes_the_pod_to_its_volume() {
    let mut world = two_nodes();
    world.set_claim(bound("c", "v"));
    assert_eq!(
        world.choose(using("p", "c")).unwrap_err(),
        "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)."
    );
    world.set_volume(volume("v", "b", "1Gi"));
    for _ in 0..2 {
        assert_eq!(world.choose(using("p", "c")).unwrap(), "b");
    }
    world.set_volume(volume("v", "elsewhere", "1Gi"));
    assert_eq!(
        world.choose(using("p", "c")).unwrap_err(),
        "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity."
    );
}

#[test]
fn a_waiting_claim_gets_the_smallest_volume_that_suits_it() {
    let mut world = two_nodes();
    world.set_claim(claim("c", "local"));
    world.set_volume(volume("small", "b", "500Mi"));
    assert_eq!(
        world.choose(using("p", "c")).unwrap_err(),
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
    );
    world.set_volume(volume("large", "b", "5Gi"));
    world.set_volume(volume("right", "b", "1Gi"));
    assert_eq!(world.choose(using("p", "c")).unwrap(), "b");
    let plan = plan_on(&mut world, using("p", "c"), "b");
    assert_eq!(plan.bind, [("right".into(), "d/c".into())]);
}

#[test]
fn a_volume_is_promised_once() {
    let mut world = two_nodes();
    world.set_claim(claim("c1", "local"));
    world.set_claim(claim("c2", "local"));
    world.set_volume(volume("only", "b", "1Gi"));
    let plan = plan_on(&mut world, using("p1", "c1"), "b");
    world.cluster.storage.promise(&plan, &"b".into());
    assert!(world.choose(using("p2", "c2")).is_err());
    world.cluster.storage.take_back(&plan);
    assert_eq!(world.choose(using("p2", "c2")).unwrap(), "b");
}

#[test]
fn a_claim_of_a_provisioner_goes_anywhere_until_its_node_is_chosen() {
    let mut world = two_nodes();
    world.set_claim(claim("c", "made"));
    let plan = plan_on(&mut world, using("p", "c"), "a");
    assert_eq!(plan.provision, ["d/c".into()]);
    let mut chosen = claim("c", "made");
    chosen["metadata"]["annotations"] = json!({ "volume.kubernetes.io/selected-node": "b" });
    world.set_claim(chosen);
    for _ in 0..2 {
        assert_eq!(world.choose(using("p", "c")).unwrap(), "b");
    }
}

#[test]
fn allowed_topologies_of_the_class_choose_the_node() {
    let mut world = two_nodes();
    world.set_claim(claim("c", "made"));
    let class = world.cluster.storage.classes.get_mut("made").unwrap();
    let topologies = json!([{ "matchLabelExpressions": [{ "key": ZONE, "values": ["b"] }] }]);
    class.allowed_topologies = serde_json::from_value(topologies).unwrap();
    for _ in 0..2 {
        assert_eq!(world.choose(using("p", "c")).unwrap(), "b");
    }
}

#[test]
fn zones_of_a_volume_are_those_of_its_node() {
    let mut world = two_nodes();
    world.set_claim(bound("c", "v"));
    let zoned =
        |zones: &str| json!({ "metadata": { "name": "v", "labels": { ZONE: zones } }, "spec": {} });
    world.set_volume(zoned("b__c"));
    for _ in 0..2 {
        assert_eq!(world.choose(using("p", "c")).unwrap(), "b");
    }
    world.set_volume(zoned("c"));
    assert_eq!(
        world.choose(using("p", "c")).unwrap_err(),
        "0/2 nodes are available: 2 node(s) had no available volume zone."
    );
}

#[test]
fn a_claim_for_one_pod_is_used_by_one() {
    let mut world = two_nodes();
    world.set_volume(volume("v", "a", "1Gi"));
    let mut exclusive = bound("c", "v");
    exclusive["spec"]["accessModes"] = json!(["ReadWriteOncePod"]);
    world.set_claim(exclusive);
    assert!(world.choose(using("p", "c")).is_ok());
    world.place(using("first", "c"), "a");
    assert_eq!(
        world.choose(using("p", "c")).unwrap_err(),
        "0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode."
    );
}

#[test]
fn a_node_holds_as_many_volumes_of_a_driver_as_it_says() {
    let mut world = two_nodes();
    for number in 0..2 {
        let volume = format!("v{number}");
        let csi = json!({ "driver": "csi.example.com", "volumeHandle": volume });
        world.set_volume(json!({ "metadata": { "name": volume }, "spec": { "csi": csi } }));
        world.set_claim(bound(&format!("c{number}"), &volume));
    }
    for name in ["a", "b"] {
        let driver =
            json!({ "name": "csi.example.com", "nodeID": name, "allocatable": { "count": 1 } });
        let limits = json!({ "metadata": { "name": name }, "spec": { "drivers": [driver] } });
        world
            .cluster
            .storage
            .set_limits(serde_json::from_value(limits).unwrap());
    }
    world.place(using("first", "c0"), "a");
    for _ in 0..2 {
        assert_eq!(world.choose(using("p", "c1")).unwrap(), "b");
    }
    world.place(using("second", "c1"), "b");
    assert!(
        world.choose(using("p", "c0")).is_ok(),
        "the same volume counts once"
    );
    world.set_claim(claim("c2", "made"));
    let class = world.cluster.storage.classes.get_mut("made").unwrap();
    class.provisioner = "csi.example.com".into();
    assert_eq!(
        world.choose(using("p", "c2")).unwrap_err(),
        "0/2 nodes are available: 2 node(s) exceed max volume count."
    );
}
