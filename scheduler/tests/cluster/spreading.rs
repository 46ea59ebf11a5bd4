use std::collections::BTreeMap;

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn pods_are_spread_over_zones_as_they_ask() {
    let world = World::start(3).await;
    let constraint = json!({ "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": { "matchLabels": { "app": "x" } } });
    let mut on: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..6 {
        let name = format!("p{number}");
        let spec = json!({ "topologySpreadConstraints": [constraint] });
        world.make_pod(&name, "100m", spec).await;
        *on.entry(world.node_of(&name).await).or_default() += 1;
    }
    assert_eq!(on.into_values().collect::<Vec<_>>(), [2, 2, 2]);
    world.stop().await;
}

#[tokio::test]
async fn pods_that_keep_away_from_each_other_wait_for_one_to_leave() {
    let world = World::start(2).await;
    let term = json!({ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "x" } } });
    let anti = json!({ "affinity": { "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [term] } } });
    for name in ["p0", "p1", "p2"] {
        world.make_pod(name, "100m", anti.clone()).await;
    }
    assert_ne!(world.node_of("p0").await, world.node_of("p1").await);
    assert_eq!(
        world.refusal("p2").await,
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. preemption: \
         0/2 nodes are available: 2 No preemption victims found for incoming pod."
    );
    let freed = world.node_of("p0").await;
    let path = format!("{}/p0", crate::world::PODS);
    world.ask(http::Method::DELETE, &path, json!({})).await;
    assert_eq!(world.node_of("p2").await, freed);
    world.stop().await;
}
