use super::*;
use crate::world::{World, asking, node, pod};
use serde_json::{Value, json};

fn two_nodes() -> World {
    World::new([node("a", json!({})), node("b", json!({}))])
}

fn labelled(mut pod: Value, app: &str) -> Value {
    pod["metadata"]["labels"] = json!({ "app": app });
    pod
}

fn budget(app: &str, allowed: i32) -> PodDisruptionBudget {
    serde_json::from_value(json!({
        "metadata": { "name": app, "namespace": "d" },
        "spec": { "selector": { "matchLabels": { "app": app } } },
        "status": { "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1 },
    }))
    .unwrap()
}

use k8s_openapi::api::policy::v1::PodDisruptionBudget;

/// [sig-scheduling] SchedulerPreemption [Serial] validates basic preemption
/// works [Conformance]
#[test]
fn the_least_important_pods_go() {
    let mut world = two_nodes();
    world.place(asking("low", "4", 1), "a");
    world.place(asking("middle", "4", 5), "b");
    let way = world.preempt(asking("high", "4", 10)).unwrap();
    assert_eq!(way, ("a".into(), vec!["low".into()]));
}

#[test]
fn only_as_many_go_as_must_and_the_most_important_are_spared() {
    let mut world = World::new([node("a", json!({}))]);
    for (name, priority) in [("p1", 1), ("p2", 2), ("p3", 3)] {
        world.place(asking(name, "1", priority), "a");
    }
    let (_, victims) = world.preempt(asking("high", "2", 10)).unwrap();
    assert_eq!(victims, ["p1"]);
    let (_, victims) = world.preempt(asking("high", "3", 10)).unwrap();
    assert_eq!(victims, ["p1", "p2"]);
}

#[test]
fn a_pod_whose_budget_is_spent_is_spared_if_there_is_another_way() {
    let mut world = two_nodes();
    world.place(labelled(asking("guarded", "4", 1), "guarded"), "a");
    world.place(asking("other", "4", 5), "b");
    world.budgets.set(budget("guarded", 0));
    let (node, _) = world.preempt(asking("high", "4", 10)).unwrap();
    assert_eq!(node, "b");
    world.budgets.set(budget("guarded", 1));
    let (node, _) = world.preempt(asking("high", "4", 10)).unwrap();
    assert_eq!(node, "a");
}

#[test]
fn a_budget_does_not_hold_where_there_is_no_other_way() {
    let mut world = World::new([node("a", json!({}))]);
    world.place(labelled(asking("guarded", "4", 1), "guarded"), "a");
    world.budgets.set(budget("guarded", 0));
    let (_, victims) = world.preempt(asking("high", "4", 10)).unwrap();
    assert_eq!(victims, ["guarded"]);
}

#[test]
fn of_equal_victims_the_youngest_go() {
    let mut world = two_nodes();
    let started = |name: &str, at: &str| {
        let mut pod = asking(name, "4", 1);
        pod["status"] = json!({ "startTime": at });
        pod
    };
    world.place(started("old", "2026-01-01T00:00:00Z"), "a");
    world.place(started("young", "2026-01-02T00:00:00Z"), "b");
    let (node, _) = world.preempt(asking("high", "4", 10)).unwrap();
    assert_eq!(node, "b");
}

#[test]
fn why_there_is_no_way_is_told_in_kubernetes_words() {
    let mut world = World::new([
        node("a", json!({})),
        node("b", json!({ "disk": "ssd" })),
        node("c", json!({ "disk": "ssd" })),
    ]);
    world.place(asking("equal", "4", 10), "b");
    world.place(asking("equal2", "4", 10), "c");
    let mut picky = asking("high", "4", 10);
    picky["spec"]["nodeSelector"] = json!({ "disk": "ssd" });
    let why = "0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
               2 No preemption victims found for incoming pod.";
    assert_eq!(world.preempt(picky), Err(NoWay::Unhelpful(why.into())));
}

#[test]
fn a_pod_that_never_preempts_says_so() {
    let mut world = World::new([node("a", json!({}))]);
    world.place(asking("low", "4", 1), "a");
    let mut polite = asking("high", "4", 10);
    polite["spec"]["preemptionPolicy"] = "Never".into();
    let why = "not eligible due to preemptionPolicy=Never.";
    assert_eq!(world.preempt(polite), Err(NoWay::NotEligible(why.into())));
}

#[test]
fn a_pod_waits_for_those_that_are_ending_for_it() {
    let mut world = two_nodes();
    world.place(asking("low", "4", 1), "a");
    world.place(asking("other", "4", 1), "b");
    let mut high = asking("high", "4", 10);
    high["status"] = json!({ "nominatedNodeName": "a" });
    let high = world.candidate(high);
    world.cluster.cache.note_preempted("d/low");
    let why = "not eligible due to a terminating pod on the nominated node.";
    let refused = world.preempt_for(&high).unwrap_err();
    assert_eq!(refused, NoWay::NotEligible(why.into()));
}

#[test]
fn pods_that_keep_others_away_go_for_a_more_important_one() {
    let host = "kubernetes.io/hostname";
    let mut world = World::new([node("a", json!({ host: "a" }))]);
    let term = json!({ "topologyKey": host, "labelSelector": { "matchLabels": { "app": "x" } } });
    let anti = json!({ "podAntiAffinity":
        { "requiredDuringSchedulingIgnoredDuringExecution": [term] } });
    let spec = |priority: i32| json!({ "priority": priority, "affinity": anti });
    world.place(pod("low", json!({ "app": "x" }), spec(1)), "a");
    world.place(pod("bystander", json!({}), json!({ "priority": 1 })), "a");
    let high = pod("high", json!({ "app": "x" }), spec(10));
    let (_, victims) = world.preempt(high).unwrap();
    assert_eq!(victims, ["low"]);
}
