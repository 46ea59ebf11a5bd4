use http::Method;
use serde_json::{Value, json};

use crate::deployments::deployment;
use crate::world::World;

const SERVICES: &str = "/api/v1/namespaces/t/services";
const ENDPOINTS: &str = "/api/v1/namespaces/t/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/t/endpointslices";

fn service(selector: Value) -> Value {
    json!({ "metadata": { "name": "web", "labels": { "team": "x" } }, "spec": { "selector": selector,
        "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] } })
}

async fn slice_with(world: &World, count: usize) -> Value {
    world
        .until(&format!("a slice of {count} endpoints"), async || {
            let slices = world.list(SLICES).await;
            let has = |s: &&Value| s["endpoints"].as_array().map_or(0, Vec::len) == count;
            (slices.len() == 1).then(|| slices.iter().find(has).cloned())?
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_a_service_are_its_endpoints() {
    let world = World::start().await;
    let service = world.create(SERVICES, service(json!({ "app": "a" }))).await;
    let empty = slice_with(&world, 0).await;
    world
        .create(
            "/apis/apps/v1/namespaces/t/deployments",
            deployment(3, "app:1"),
        )
        .await;
    world.until_rolled_out(3, "app:1").await;
    let slice = slice_with(&world, 3).await;
    assert_eq!(
        slice["metadata"]["uid"], empty["metadata"]["uid"],
        "written in place"
    );
    assert_eq!(
        slice["metadata"]["ownerReferences"][0]["uid"],
        service["metadata"]["uid"]
    );
    let labels = &slice["metadata"]["labels"];
    assert_eq!(labels["kubernetes.io/service-name"], "web");
    assert_eq!(labels["team"], "x");
    assert_eq!(
        labels["endpointslice.kubernetes.io/managed-by"],
        "endpointslice-controller.k8s.io"
    );
    assert_eq!(
        slice["ports"],
        json!([{ "name": "http", "port": 8080, "protocol": "TCP" }])
    );
    let endpoint = &slice["endpoints"][0];
    assert_eq!(
        endpoint["conditions"],
        json!({ "ready": true, "serving": true, "terminating": false })
    );
    assert_eq!(endpoint["zone"], "z1");
    assert_eq!(endpoint["targetRef"]["kind"], "Pod");
    let endpoints = world
        .until("3 addresses", async || {
            let found = world.find(&format!("{ENDPOINTS}/web")).await?;
            let count = found["subsets"][0]["addresses"].as_array()?.len();
            (count == 3).then_some(found)
        })
        .await;
    assert_eq!(
        endpoints["subsets"][0]["ports"],
        json!([{ "name": "http", "port": 8080, "protocol": "TCP" }])
    );
    world.delete(&format!("{SERVICES}/web"), "Background").await;
    world.until_gone(&format!("{ENDPOINTS}/web")).await;
    world
        .until("no slice", async || {
            world.list(SLICES).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_that_is_not_ready_any_more_is_said_so() {
    let world = World::start().await;
    world.create(SERVICES, service(json!({ "app": "a" }))).await;
    world
        .create(
            "/apis/apps/v1/namespaces/t/deployments",
            deployment(1, "app:1"),
        )
        .await;
    world.until_rolled_out(1, "app:1").await;
    let pod = world.list("/api/v1/namespaces/t/pods").await.remove(0);
    let name = pod["metadata"]["name"].as_str().unwrap();
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    world
        .patch(&format!("/api/v1/namespaces/t/pods/{name}/status"), unready)
        .await;
    world
        .until("an unready endpoint", async || {
            let slice = slice_with(&world, 1).await;
            (slice["endpoints"][0]["conditions"]["ready"] == false).then_some(())
        })
        .await;
    world
        .until("a not ready address", async || {
            let found = world.find(&format!("{ENDPOINTS}/web")).await?;
            let subset = &found["subsets"][0];
            (subset["addresses"].is_null() && subset["notReadyAddresses"].is_array()).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_of_a_service_without_selector_are_mirrored() {
    let world = World::start().await;
    world.create(SERVICES, service(Value::Null)).await;
    let endpoints = json!({ "metadata": { "name": "web" }, "subsets": [
        { "addresses": [{ "ip": "192.0.2.7" }], "ports": [{ "name": "http", "port": 8080 }] }] });
    world.create(ENDPOINTS, endpoints).await;
    let slice = slice_with(&world, 1).await;
    assert_eq!(slice["endpoints"][0]["addresses"], json!(["192.0.2.7"]));
    assert_eq!(
        slice["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"],
        "endpointslicemirroring-controller.k8s.io"
    );
    let path = format!("{ENDPOINTS}/web");
    let moved = json!({ "subsets": [{ "addresses": [{ "ip": "192.0.2.8" }], "ports": [{ "name": "http", "port": 8080 }] }] });
    world.ask(Method::PATCH, &path, moved).await;
    world
        .until("the other address", async || {
            let slice = slice_with(&world, 1).await;
            (slice["endpoints"][0]["addresses"] == json!(["192.0.2.8"])).then_some(())
        })
        .await;
    world.delete(&path, "Background").await;
    world
        .until("no slice", async || {
            world.list(SLICES).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}
