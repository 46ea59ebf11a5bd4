//! Writes that others overtake: a webhook that is asked about a write makes the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use apiserver::User;
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};

use crate::bypasses::{RBAC, grant, rule, told};
use crate::cluster::{Cluster, ask_as};
use crate::extension::Extension;
use crate::webhooks::{VALIDATING, configure, webhook, with_hook};

const MAPS: &str = "/api/v1/namespaces/g/configmaps";
const MAP: &str = "/api/v1/namespaces/g/configmaps/c";
const ENDPOINTS: &str = "/api/v1/namespaces/g/endpoints";

/// One request.
type Rival = (Method, &'static str, Value);

/// A cluster where `rival` comes between once, when an `operation` on a `resource` has
/// found what it changes and not yet written.
async fn overtaken_by(
    rival: Rival,
    operation: &str,
    resource: &str,
) -> (Cluster, Extension, Arc<AtomicBool>) {
    let (client, done) = (Arc::new(OnceLock::<Client>::new()), Arc::default());
    let (rivals, came) = (client.clone(), Arc::<AtomicBool>::clone(&done));
    let (cluster, hook) = with_hook(move |_| {
        if !came.swap(true, Ordering::SeqCst) {
            let (method, path, body) = rival.clone();
            let ask = ask_as(rivals.get().unwrap(), method, path, &body);
            let answer =
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(ask));
            assert_ne!(answer["status"], "Failure", "{answer}");
        }
        json!({ "allowed": true })
    })
    .await;
    client.set(cluster.client()).ok().unwrap();
    let mut between = webhook(&cluster, "between.hook.io", "/");
    between["rules"] = json!([{
        "operations": [operation], "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource],
    }]);
    configure(&cluster, VALIDATING, "v", json!([between])).await;
    (cluster, hook, done)
}

fn config_map(key: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": { key: "1" } })
}

async fn apply(cluster: &Cluster, key: &str) -> (u16, Value) {
    apply_as(cluster.client(), key).await
}

async fn apply_as(client: Client, key: &str) -> (u16, Value) {
    let request = Request::patch(format!("{MAP}?fieldManager={key}"))
        .header("content-type", "application/apply-patch+yaml")
        .body(config_map(key).to_string().into_bytes().into());
    answered(client, request.unwrap()).await
}

async fn answered(client: Client, request: Request<kube::client::Body>) -> (u16, Value) {
    let answer = client.send(request).await.unwrap();
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_was_to_create_merges_into_what_another_created() {
    let rival = (Method::POST, MAPS, config_map("theirs"));
    let (cluster, _hook, came) = overtaken_by(rival, "CREATE", "configmaps").await;
    let (code, merged) = apply(&cluster, "mine").await;
    assert!(came.load(Ordering::SeqCst));
    assert_eq!(code, 200, "{merged}");
    assert_eq!(merged["data"], json!({ "theirs": "1", "mine": "1" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_to_what_another_deleted_creates_it() {
    let rival = (Method::DELETE, MAP, Value::Null);
    let (cluster, _hook, came) = overtaken_by(rival, "UPDATE", "configmaps").await;
    cluster.ask(Method::POST, MAPS, &config_map("theirs")).await;
    let (code, made) = apply(&cluster, "mine").await;
    assert!(came.load(Ordering::SeqCst));
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["data"], json!({ "mine": "1" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_patch_creates_nothing_where_another_deleted_it() {
    let rival = (Method::DELETE, MAP, Value::Null);
    let (cluster, _hook, came) = overtaken_by(rival, "UPDATE", "configmaps").await;
    let path = format!("{RBAC}/namespaces/g");
    grant(
        &cluster,
        "Role",
        &path,
        rule("configmaps", &["get", "patch"]),
    )
    .await;
    let made = cluster.ask(Method::POST, MAPS, &config_map("theirs")).await;
    assert_eq!(told(&cluster, Method::GET, MAP, &Value::Null).await, made);
    let ann = User::new("ann", ["system:authenticated".to_owned()]);
    let (code, refused) = apply_as(cluster.server.client_as(ann), "mine").await;
    assert!(came.load(Ordering::SeqCst));
    assert_eq!(code, 403, "{refused}");
    assert_eq!(cluster.get(MAP).await["code"], 404);
}

fn endpoints(ip: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": "e" },
        "subsets": [{ "addresses": [{ "ip": ip }], "ports": [{ "port": 80 }] }] })
}

async fn put_endpoints(cluster: &Cluster, ip: &str) -> (u16, Value) {
    let request = Request::put(format!("{ENDPOINTS}/e"))
        .header("content-type", "application/json")
        .body(endpoints(ip).to_string().into_bytes().into());
    answered(cluster.client(), request.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_was_to_create_replaces_what_another_created() {
    let rival = (Method::POST, ENDPOINTS, endpoints("192.0.2.1"));
    let (cluster, _hook, came) = overtaken_by(rival, "CREATE", "endpoints").await;
    let (code, replaced) = put_endpoints(&cluster, "192.0.2.2").await;
    assert!(came.load(Ordering::SeqCst));
    assert_eq!(code, 200, "{replaced}");
    assert_eq!(replaced["subsets"][0]["addresses"][0]["ip"], "192.0.2.2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_over_what_another_deleted_creates_it() {
    let path = "/api/v1/namespaces/g/endpoints/e";
    let rival = (Method::DELETE, path, Value::Null);
    let (cluster, _hook, came) = overtaken_by(rival, "UPDATE", "endpoints").await;
    cluster
        .ask(Method::POST, ENDPOINTS, &endpoints("192.0.2.1"))
        .await;
    let (code, made) = put_endpoints(&cluster, "192.0.2.2").await;
    assert!(came.load(Ordering::SeqCst));
    assert_eq!(code, 201, "{made}");
}
