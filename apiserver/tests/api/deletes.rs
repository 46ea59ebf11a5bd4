use http::Method;
use serde_json::{Value, json};

use crate::cluster::Cluster;

const MAPS: &str = "/api/v1/namespaces/g/configmaps";

async fn with_map(metadata: Value) -> Cluster {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
    cluster.ask(Method::POST, MAPS, &object).await;
    cluster
}

#[tokio::test]
async fn a_deleted_object_is_gone() {
    let cluster = with_map(json!({ "name": "c" })).await;
    let path = format!("{MAPS}/c");
    let done = cluster.ask(Method::DELETE, &path, &Value::Null).await;
    assert_eq!(done["status"], "Success");
    assert_eq!(cluster.get(&path).await["code"], 404);
}

#[tokio::test]
async fn a_finalizer_keeps_an_object_until_it_is_taken_away() {
    let cluster = with_map(json!({ "name": "c", "finalizers": ["x.io/f"] })).await;
    let path = format!("{MAPS}/c");
    cluster.ask(Method::DELETE, &path, &Value::Null).await;
    assert!(!cluster.get(&path).await["metadata"]["deletionTimestamp"].is_null());
    cluster
        .ask(
            Method::PATCH,
            &path,
            &json!({ "metadata": { "finalizers": null } }),
        )
        .await;
    assert_eq!(cluster.get(&path).await["code"], 404);
}

#[tokio::test]
async fn a_precondition_that_does_not_hold_keeps_the_object() {
    let cluster = with_map(json!({ "name": "c" })).await;
    let path = format!("{MAPS}/c");
    let refused = cluster
        .ask(
            Method::DELETE,
            &path,
            &json!({ "preconditions": { "uid": "0" } }),
        )
        .await;
    assert_eq!(refused["reason"], "Conflict");
    assert_eq!(cluster.get(&path).await["metadata"]["name"], "c");
}

#[tokio::test]
async fn foreground_deletion_waits_for_the_garbage_collector() {
    let cluster = with_map(json!({ "name": "c" })).await;
    let path = format!("{MAPS}/c");
    cluster
        .ask(
            Method::DELETE,
            &format!("{path}?propagationPolicy=Foreground"),
            &Value::Null,
        )
        .await;
    let kept = cluster.get(&path).await;
    assert_eq!(
        kept["metadata"]["finalizers"],
        json!(["foregroundDeletion"])
    );
}

#[tokio::test]
async fn a_namespace_ends_when_its_finalizers_do() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let path = "/api/v1/namespaces/g";
    let ending = cluster.ask(Method::DELETE, path, &Value::Null).await;
    assert_eq!(ending["status"]["phase"], "Terminating");
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "late" } });
    let refused = cluster.ask(Method::POST, MAPS, &object).await;
    assert_eq!(refused["reason"], "Forbidden");
    let mut last = cluster.get(path).await;
    last["spec"]["finalizers"] = json!([]);
    cluster
        .ask(Method::PUT, &format!("{path}/finalize"), &last)
        .await;
    assert_eq!(cluster.get(path).await["code"], 404);
}

#[tokio::test]
async fn the_clusters_own_namespaces_stay() {
    let cluster = Cluster::start().await;
    let refused = cluster
        .ask(
            Method::DELETE,
            "/api/v1/namespaces/kube-system",
            &Value::Null,
        )
        .await;
    assert_eq!(
        refused["message"],
        "namespaces \"kube-system\" is forbidden: this namespace may not be deleted"
    );
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let cluster = with_map(json!({ "name": "keep" })).await;
    for name in ["a", "b"] {
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "x": "1" } } });
        cluster.ask(Method::POST, MAPS, &object).await;
    }
    cluster
        .ask(
            Method::DELETE,
            &format!("{MAPS}?labelSelector=x"),
            &Value::Null,
        )
        .await;
    let left = cluster.get(MAPS).await;
    let names: Vec<_> = left["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["keep"]);
}

#[tokio::test]
async fn deleting_again_what_is_ending_is_no_new_generation() {
    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/g/deployments";
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "d", "finalizers": ["example.com/f"] },
        "spec": { "selector": { "matchLabels": { "a": "b" } }, "template": { "metadata": { "labels": { "a": "b" } },
            "spec": { "containers": [{ "name": "c", "image": "i" }] } } } });
    cluster.ask(Method::POST, DEPLOYMENTS, &deployment).await;
    let path = format!("{DEPLOYMENTS}/d");
    let policy = |policy: &str| json!({ "propagationPolicy": policy });
    cluster
        .ask(Method::DELETE, &path, &policy("Background"))
        .await;
    let first = cluster.get(&path).await["metadata"].take();
    cluster
        .ask(Method::DELETE, &path, &policy("Foreground"))
        .await;
    let second = cluster.get(&path).await["metadata"].take();
    assert_ne!(first["finalizers"], second["finalizers"]);
    assert_eq!(first["generation"], second["generation"]);
}
