use http::Method;
use serde_json::json;

use crate::world::{PODS, World};

#[tokio::test]
async fn a_gated_pod_waits_until_its_last_gate_is_gone() {
    let world = World::start(1).await;
    let gates =
        json!({ "schedulingGates": [{ "name": "example.com/a" }, { "name": "example.com/b" }] });
    world.make_pod("gated", "500m", gates).await;
    world.make_pod("other", "1", json!({})).await;
    world.node_of("other").await;
    let condition = world.condition("gated", "PodScheduled").await.unwrap();
    assert_eq!(condition["reason"], "SchedulingGated");
    let open = |left: serde_json::Value| json!({ "spec": { "schedulingGates": left } });
    let path = format!("{PODS}/gated");
    let one = open(json!([{ "name": "example.com/b" }]));
    world.ask(Method::PATCH, &path, one).await;
    world.make_pod("another", "100m", json!({})).await;
    world.node_of("another").await;
    assert!(world.pod("gated").await["spec"]["nodeName"].is_null());
    world.ask(Method::PATCH, &path, open(json!(null))).await;
    assert_eq!(world.node_of("gated").await, "n0");
    world.stop().await;
}
