use http::Method;
use serde_json::json;

use crate::world::World;

/// [sig-scheduling] SchedulerPredicates [Serial] validates resource limits of
/// pods that are allowed to run  [Conformance]
#[tokio::test]
async fn a_pod_that_fits_nowhere_is_told_why_and_goes_when_it_can() {
    let mut world = World::start(0).await;
    world.make_pod("big", "2", json!({})).await;
    let none = "no nodes available to schedule pods";
    assert_eq!(world.refusal("big").await, none);
    assert_eq!(world.event("big", "FailedScheduling").await, none);
    world.make_pod("huge", "3", json!({})).await;
    world.add_nodes(2).await;
    world.node_of("big").await;
    let told = "0/2 nodes are available: 2 Insufficient cpu. preemption: \
                0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    world
        .until("the pod to be told of the new nodes", async || {
            (world.refusal("huge").await == told).then_some(())
        })
        .await;
    assert!(
        world
            .event("big", "Scheduled")
            .await
            .starts_with("Successfully assigned default/big to n")
    );
    world.stop().await;
}

/// [sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is
/// respected if not matching  [Conformance], and if matching  [Conformance]
#[tokio::test]
async fn a_label_that_comes_to_a_node_brings_the_pod_that_waits_for_it() {
    let world = World::start(2).await;
    let selector = json!({ "nodeSelector": { "disk": "ssd" } });
    world.make_pod("picky", "1", selector).await;
    assert_eq!(
        world.refusal("picky").await,
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector. \
         preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    );
    let labels = json!({ "metadata": { "labels": { "disk": "ssd" } } });
    world.ask(Method::PATCH, "/api/v1/nodes/n1", labels).await;
    assert_eq!(world.node_of("picky").await, "n1");
    world.stop().await;
}
