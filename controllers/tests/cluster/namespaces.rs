use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::deployments::deployment;
use crate::world::World;

/// Sooner than by waiting for anything but what happens.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn every_namespace_has_a_service_account_and_the_certificate() {
    let world = World::start().await;
    let account = "/api/v1/namespaces/t/serviceaccounts/default";
    let map = "/api/v1/namespaces/t/configmaps/kube-root-ca.crt";
    let has = async || {
        world
            .find(map)
            .await
            .and_then(|m| m["data"]["ca.crt"].as_str().map(str::to_owned))
    };
    let pem = world.until("the certificate", has).await;
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    world.delete(account, "Background").await;
    world
        .until("a new account", async || world.find(account).await)
        .await;
    world
        .patch(map, json!({ "data": { "ca.crt": "changed" } }))
        .await;
    world
        .until("the old data", async || has().await.filter(|p| *p == pem))
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_namespace_is_gone_at_once() {
    let world = World::start().await;
    world
        .until("the certificate", async || {
            world
                .find("/api/v1/namespaces/t/configmaps/kube-root-ca.crt")
                .await
        })
        .await;
    let start = Instant::now();
    world.delete("/api/v1/namespaces/t", "Background").await;
    world.until_gone("/api/v1/namespaces/t").await;
    let took = start.elapsed();
    println!("an empty namespace ended in {took:?}");
    assert!(took < SOON, "{took:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespace_ends_after_its_content() {
    let world = World::start().await;
    world
        .create(
            "/apis/apps/v1/namespaces/t/deployments",
            deployment(3, "app:1"),
        )
        .await;
    world.until_rolled_out(3, "app:1").await;
    let start = Instant::now();
    world.delete("/api/v1/namespaces/t", "Background").await;
    world.until_gone("/api/v1/namespaces/t").await;
    let took = start.elapsed();
    println!("a namespace with a deployment ended in {took:?}");
    assert!(took < SOON, "{took:?}");
    for path in ["pods", "configmaps", "serviceaccounts"] {
        let all = world.list(&format!("/api/v1/{path}")).await;
        let here = all
            .iter()
            .filter(|o| o["metadata"]["namespace"] == "t")
            .count();
        assert_eq!(here, 0, "{path}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finalizer_holds_the_namespace_which_says_so() {
    let world = World::start().await;
    let maps = "/api/v1/namespaces/t/configmaps";
    world
        .create(
            maps,
            json!({ "metadata": { "name": "held", "finalizers": ["a.b/c"] } }),
        )
        .await;
    world.delete("/api/v1/namespaces/t", "Background").await;
    let condition = |namespace: &Value, type_: &str| {
        let conditions = namespace["status"]["conditions"].as_array()?;
        conditions.iter().find(|c| c["type"] == type_).cloned()
    };
    let remaining = world
        .until("the condition", async || {
            let namespace = world.find("/api/v1/namespaces/t").await?;
            condition(&namespace, "NamespaceFinalizersRemaining")
        })
        .await;
    assert_eq!(remaining["status"], "True");
    assert_eq!(
        remaining["message"],
        "Some content in the namespace has finalizers remaining: a.b/c in 1 resource instances"
    );
    // By now it has looked again, and waits to be told of the departure.
    tokio::time::sleep(Duration::from_secs(1)).await;
    world
        .patch(
            &format!("{maps}/held"),
            json!({ "metadata": { "finalizers": null } }),
        )
        .await;
    let start = Instant::now();
    world.until_gone("/api/v1/namespaces/t").await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    world.stop().await;
}

/// Makes an object in a namespace, deletes that and makes it again: nothing is in it.
async fn is_emptied(plural: &str, object: Value) {
    let world = World::start().await;
    let list = format!("/api/v1/namespaces/t/{plural}");
    world.create(&list, object).await;
    if plural == "pods" {
        world.until_running(1).await;
    }
    world.delete("/api/v1/namespaces/t", "Background").await;
    world.until_gone("/api/v1/namespaces/t").await;
    world.make_namespace("t").await;
    assert!(world.list(&list).await.is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_namespaces_should_ensure_that_all_pods_are_removed_when_a_namespace_is_deleted()
 {
    let pod = json!({ "metadata": { "name": "p" },
        "spec": { "containers": [{ "name": "c", "image": "app:1" }] } });
    is_emptied("pods", pod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_namespaces_should_ensure_that_all_services_are_removed_when_a_namespace_is_deleted()
 {
    let service = json!({ "metadata": { "name": "s" }, "spec": {
        "selector": { "app": "a" }, "ports": [{ "port": 80 }] } });
    is_emptied("services", service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_namespaces_should_patch_a_namespace() {
    let world = World::start().await;
    let label = json!({ "metadata": { "labels": { "test": "patched" } } });
    world.patch("/api/v1/namespaces/t", label).await;
    let read = world.find("/api/v1/namespaces/t").await.unwrap();
    assert_eq!(read["metadata"]["labels"]["test"], "patched");
    world.stop().await;
}
