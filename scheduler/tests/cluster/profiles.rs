use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn each_pod_is_placed_by_the_scheduler_that_it_names() {
    let config = scheduler::Config::parse(
        "kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
- schedulerName: packing
  plugins: {score: {disabled: [{name: '*'}], enabled: [{name: NodeResourcesFit}]}}
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated}}
",
    )
    .unwrap();
    let world = World::start_with(2, config).await;
    world
        .make_pod("stranger", "100m", json!({ "schedulerName": "nobody" }))
        .await;
    let packing = json!({ "schedulerName": "packing" });
    world.make_pod("p0", "100m", packing.clone()).await;
    let first = world.node_of("p0").await;
    for name in ["p1", "p2", "p3"] {
        world.make_pod(name, "100m", packing.clone()).await;
        assert_eq!(world.node_of(name).await, first);
    }
    world.make_pod("spread", "100m", json!({})).await;
    assert_ne!(world.node_of("spread").await, first);
    assert!(world.pod("stranger").await["spec"]["nodeName"].is_null());
    world.stop().await;
}
