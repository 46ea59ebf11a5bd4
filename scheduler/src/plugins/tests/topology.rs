use super::*;
use crate::object::Namespace;
use crate::workloads::ReplicaSet;

pub const ZONE: &str = "topology.kubernetes.io/zone";
pub const HOST: &str = "kubernetes.io/hostname";

fn in_zone(name: &str, zone: &str) -> Value {
    node(name, json!({ ZONE: zone, HOST: name }))
}

fn app(name: &str, spec: Value) -> Value {
    pod(name, json!({ "app": "x", "hash": "1" }), spec)
}

/// Spread over zones, with these fields changed.
fn spread(change: Value) -> Value {
    let mut constraint = json!({ "maxSkew": 1, "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "x" } } });
    for (key, value) in change.as_object().unwrap() {
        constraint[key] = value.clone();
    }
    json!({ "topologySpreadConstraints": [constraint] })
}

fn near(kind: &str, key: &str, change: Value) -> Value {
    let mut term =
        json!({ "topologyKey": key, "labelSelector": { "matchLabels": { "app": "x" } } });
    for (key, value) in change.as_object().unwrap() {
        term[key] = value.clone();
    }
    json!({ "affinity": { kind: { "requiredDuringSchedulingIgnoredDuringExecution": [term] } } })
}

const UNEVEN: &str = "node(s) didn't match pod topology spread constraints";

/// Two zones of which one has two pods of the app and the other none.
fn lopsided() -> World {
    let mut world = World::new([in_zone("a1", "a"), in_zone("a2", "a"), in_zone("b1", "b")]);
    world.place(app("p1", json!({})), "a1");
    world.place(app("p2", json!({})), "a2");
    world
}

#[test]
fn a_required_spread_keeps_the_skew() {
    let mut world = lopsided();
    for _ in 0..3 {
        assert_eq!(world.choose(app("p", spread(json!({})))).unwrap(), "b1");
    }
    world.place(asking("full", "4", 0), "b1");
    let mut pod = app("p", spread(json!({})));
    pod["spec"]["containers"] = json!([{ "resources": { "requests": { "cpu": "1" } } }]);
    assert_eq!(
        world.choose(pod).unwrap_err(),
        format!("0/3 nodes are available: 1 Insufficient cpu, 2 {UNEVEN}.")
    );
}

#[test]
fn a_node_without_the_key_is_told_apart() {
    let mut world = World::new([node("bare", json!({}))]);
    assert_eq!(
        world.choose(app("p", spread(json!({})))).unwrap_err(),
        format!("0/1 nodes are available: 1 {UNEVEN} (missing required label).")
    );
}

#[test]
fn too_few_domains_count_as_one_that_is_empty() {
    let mut world = World::new([in_zone("a1", "a"), in_zone("b1", "b")]);
    for (name, node) in [("p1", "a1"), ("p2", "b1")] {
        world.place(app(name, json!({})), node);
    }
    assert!(world.choose(app("p", spread(json!({})))).is_ok());
    let three = spread(json!({ "minDomains": 3 }));
    assert!(world.choose(app("p", three)).is_err());
}

#[test]
fn keys_of_the_pods_own_labels_narrow_what_is_counted() {
    let mut world = lopsided();
    let mut other = app("p", spread(json!({ "matchLabelKeys": ["hash"] })));
    other["metadata"]["labels"]["hash"] = "2".into();
    world.place(asking("full", "4", 0), "b1");
    other["spec"]["containers"] = json!([{ "resources": { "requests": { "cpu": "1" } } }]);
    assert!(world.choose(other).unwrap().starts_with('a'));
}

#[test]
fn policies_say_whether_nodes_that_refuse_the_pod_count() {
    let mut world = lopsided();
    let mut tainted = in_zone("c1", "c");
    tainted["spec"] = json!({ "taints": [{ "key": "k", "effect": "NoSchedule" }] });
    world.set_node(tainted);
    world.place(app("p3", json!({})), "b1");
    // Zone c is empty and out of reach: counted, it leaves no place at all.
    assert!(world.choose(app("p", spread(json!({})))).is_err());
    let honoring = spread(json!({ "nodeTaintsPolicy": "Honor" }));
    assert!(world.choose(app("p", honoring)).is_ok());

    let selecting = |policy: &str| {
        let mut spec = spread(json!({ "nodeAffinityPolicy": policy }));
        spec["nodeSelector"] = json!({ ZONE: "a" });
        app("p", spec)
    };
    assert!(world.choose(selecting("Honor")).is_ok());
    assert!(world.choose(selecting("Ignore")).is_err());
}

#[test]
fn ending_pods_are_not_counted_for_a_spread() {
    let mut world = lopsided();
    for name in ["p1", "p2"] {
        let mut ending = app(name, json!({}));
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        world.place(ending, if name == "p1" { "a1" } else { "a2" });
    }
    let anywhere: std::collections::BTreeSet<_> = (0..6)
        .map(|_| world.choose(app("p", spread(json!({})))).unwrap())
        .collect();
    assert!(anywhere.len() > 1, "{anywhere:?}");
}

#[test]
fn a_preferred_spread_prefers_the_empty_zone() {
    let mut world = lopsided();
    let soft = spread(json!({ "whenUnsatisfiable": "ScheduleAnyway" }));
    for _ in 0..3 {
        assert_eq!(world.choose(app("p", soft.clone())).unwrap(), "b1");
    }
}

#[test]
fn replicas_of_one_owner_are_spread_without_being_asked() {
    let mut world = World::new([in_zone("a1", "a"), in_zone("a2", "a")]);
    let owned = |name: &str| {
        let mut pod = app(name, json!({}));
        pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": "apps/v1",
            "kind": "ReplicaSet", "name": "rs", "uid": "u", "controller": true }]);
        pod
    };
    let set = json!({ "metadata": { "name": "rs", "namespace": "d" },
        "spec": { "selector": { "matchLabels": { "app": "x" } } } });
    let set: ReplicaSet = serde_json::from_value(set).unwrap();
    world.cluster.workloads.set(&set);
    world.place(owned("p1"), "a1");
    // So that room alone would decide for the other node.
    world.place(asking("load", "1", 0), "a2");
    for _ in 0..3 {
        assert_eq!(world.choose(owned("p")).unwrap(), "a2");
    }
}

#[test]
fn required_affinity_goes_where_the_others_are() {
    let mut world = World::new([in_zone("a1", "a"), in_zone("a2", "a"), in_zone("b1", "b")]);
    let wanting = || pod("p", json!({}), near("podAffinity", ZONE, json!({})));
    assert_eq!(
        world.choose(wanting()).unwrap_err(),
        "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."
    );
    world.place(app("p1", json!({})), "b1");
    for _ in 0..3 {
        assert_eq!(world.choose(wanting()).unwrap(), "b1");
    }
}

#[test]
fn the_first_of_a_group_that_wants_its_own_kind_near_starts_anywhere() {
    let mut world = World::new([in_zone("a1", "a")]);
    assert!(
        world
            .choose(app("p", near("podAffinity", ZONE, json!({}))))
            .is_ok()
    );
}

#[test]
fn required_anti_affinity_keeps_away_and_is_kept_away_from() {
    let mut world = World::new([in_zone("a1", "a"), in_zone("b1", "b")]);
    let loner = near("podAntiAffinity", ZONE, json!({}));
    world.place(app("p1", loner.clone()), "a1");
    world.place(app("p2", json!({})), "b1");
    assert_eq!(
        world.choose(pod("p", json!({}), loner)).unwrap_err(),
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
    );
    for _ in 0..2 {
        assert_eq!(world.choose(app("p", json!({}))).unwrap(), "b1");
    }
    world.place(asking("full", "4", 0), "b1");
    let mut pod = app("p", json!({}));
    pod["spec"]["containers"] = json!([{ "resources": { "requests": { "cpu": "1" } } }]);
    assert_eq!(
        world.choose(pod).unwrap_err(),
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy existing pods anti-affinity rules."
    );
}

#[test]
fn terms_reach_other_namespaces_by_name_or_by_label() {
    let mut world = World::new([in_zone("a1", "a")]);
    let mut elsewhere = app("p1", json!({}));
    elsewhere["metadata"]["namespace"] = "other".into();
    world.place(elsewhere, "a1");
    let mut keeps_away = |change: Value| {
        let spec = near("podAntiAffinity", ZONE, change);
        world.choose(pod("p", json!({}), spec)).is_err()
    };
    let by_label = json!({ "namespaceSelector": { "matchLabels": { "team": "red" } } });
    assert!(!keeps_away(json!({})), "its own namespace only");
    assert!(keeps_away(json!({ "namespaces": ["other"] })));
    assert!(keeps_away(json!({ "namespaceSelector": {} })));
    assert!(!keeps_away(by_label.clone()));
    let labelled = json!({ "metadata": { "name": "other", "labels": { "team": "red" } } });
    let labelled: Namespace = serde_json::from_value(labelled).unwrap();
    world.cluster.namespaces.set(labelled);
    let spec = near("podAntiAffinity", ZONE, by_label);
    assert!(world.choose(pod("p", json!({}), spec)).is_err());
}

#[test]
fn label_keys_tell_revisions_apart() {
    let mut world = World::new([in_zone("a1", "a")]);
    world.place(app("p1", json!({})), "a1");
    let mut keeps_away = |field: &str, hash: &str| {
        let spec = near("podAntiAffinity", ZONE, json!({ field: ["hash"] }));
        let pod = pod("p", json!({ "app": "x", "hash": hash }), spec);
        world.choose(pod).is_err()
    };
    assert!(keeps_away("matchLabelKeys", "1"));
    assert!(!keeps_away("matchLabelKeys", "2"));
    assert!(!keeps_away("mismatchLabelKeys", "1"));
    assert!(keeps_away("mismatchLabelKeys", "2"));
}

#[test]
fn preferences_count_on_both_sides() {
    let preferring = |kind: &str| {
        let term =
            json!({ "topologyKey": ZONE, "labelSelector": { "matchLabels": { "app": "x" } } });
        let weighted = json!([{ "weight": 100, "podAffinityTerm": term }]);
        json!({ "affinity": { kind: { "preferredDuringSchedulingIgnoredDuringExecution": weighted } } })
    };
    let mut world = World::new([in_zone("a1", "a"), in_zone("b1", "b")]);
    world.place(app("p1", json!({})), "a1");
    for _ in 0..2 {
        let toward = pod("p", json!({}), preferring("podAffinity"));
        assert_eq!(world.choose(toward).unwrap(), "a1");
        let away = pod("p", json!({}), preferring("podAntiAffinity"));
        assert_eq!(world.choose(away).unwrap(), "b1");
    }
    let mut world = World::new([in_zone("a1", "a"), in_zone("b1", "b")]);
    world.place(pod("host", json!({}), preferring("podAffinity")), "b1");
    for _ in 0..2 {
        assert_eq!(world.choose(app("p", json!({}))).unwrap(), "b1");
    }
}
