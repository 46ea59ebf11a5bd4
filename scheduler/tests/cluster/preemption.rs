use serde_json::json;

use crate::world::World;

const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

async fn priorities(world: &World) {
    for (name, value, policy) in [
        ("low", 1, "PreemptLowerPriority"),
        ("high", 1000, "PreemptLowerPriority"),
        ("polite", 1000, "Never"),
    ] {
        let class =
            json!({ "metadata": { "name": name }, "value": value, "preemptionPolicy": policy });
        world.make(CLASSES, class).await;
    }
}

/// [sig-scheduling] SchedulerPreemption [Serial] validates basic preemption
/// works [Conformance]
#[tokio::test]
async fn a_pod_of_higher_priority_takes_the_place_of_one_of_lower() {
    let world = World::start(1).await;
    priorities(&world).await;
    let low = world
        .make_pod("low", "2", json!({ "priorityClassName": "low" }))
        .await;
    world.node_of("low").await;
    let high = world
        .make_pod("high", "2", json!({ "priorityClassName": "high" }))
        .await;
    assert_eq!(world.node_of("high").await, "n0");
    let low_now = world.pod("low").await;
    assert_eq!(low_now["code"], 404, "{low_now}");
    assert_eq!(
        world.event("low", "Preempted").await,
        format!(
            "Preempted by pod {} on node n0",
            high["metadata"]["uid"].as_str().unwrap()
        )
    );
    assert!(low["metadata"]["uid"].is_string());
    world.stop().await;
}

/// [sig-scheduling] SchedulerPreemption [Serial] validates lower priority pod
/// preemption by critical pod [Conformance]
#[tokio::test]
async fn a_critical_pod_takes_the_place_of_one_of_lower_priority() {
    let world = World::start(1).await;
    priorities(&world).await;
    world
        .make_pod("low", "2", json!({ "priorityClassName": "low" }))
        .await;
    world.node_of("low").await;
    let critical = json!({ "priorityClassName": "system-cluster-critical" });
    world.make_pod("critical", "2", critical).await;
    assert_eq!(world.node_of("critical").await, "n0");
    world.stop().await;
}

/// The victim's finalizer holds it, so that what is said meanwhile can be read.
#[tokio::test]
async fn while_a_victim_ends_it_says_why_and_the_node_is_kept() {
    let world = World::start(1).await;
    priorities(&world).await;
    world
        .make_pod("low", "2", json!({ "priorityClassName": "low" }))
        .await;
    world.node_of("low").await;
    let path = format!("{}/low", crate::world::PODS);
    let held = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
    world.ask(http::Method::PATCH, &path, held).await;
    world
        .make_pod("high", "2", json!({ "priorityClassName": "high" }))
        .await;
    world
        .until("the node to be kept", async || {
            let pod = world.pod("high").await;
            (pod["status"]["nominatedNodeName"] == "n0").then_some(())
        })
        .await;
    let condition = world.until("the victim to be told", async || {
        world.condition("low", "DisruptionTarget").await
    });
    let condition = condition.await;
    assert_eq!(condition["status"], "True");
    assert_eq!(condition["reason"], "PreemptionByScheduler");
    assert_eq!(
        condition["message"],
        "default-scheduler: preempting to accommodate a higher priority pod"
    );
    let released = json!({ "metadata": { "finalizers": null } });
    world.ask(http::Method::PATCH, &path, released).await;
    assert_eq!(world.node_of("high").await, "n0");
    world.stop().await;
}

#[tokio::test]
async fn a_pod_that_never_preempts_waits_its_turn() {
    let world = World::start(1).await;
    priorities(&world).await;
    world
        .make_pod("low", "2", json!({ "priorityClassName": "low" }))
        .await;
    world.node_of("low").await;
    world
        .make_pod("polite", "2", json!({ "priorityClassName": "polite" }))
        .await;
    assert_eq!(
        world.refusal("polite").await,
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    );
    let path = format!("{}/low", crate::world::PODS);
    world.ask(http::Method::DELETE, &path, json!({})).await;
    assert_eq!(world.node_of("polite").await, "n0");
    world.stop().await;
}
