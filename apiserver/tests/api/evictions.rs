//! Evictions, and what happens to pods and budgets meanwhile.

use std::sync::{Arc, OnceLock};

use apiserver::Access;
use futures::future::join_all;
use http::Method;
use kube::Client;
use serde_json::{Value, json};

use crate::cluster::{Cluster, ask_as};
use crate::interrupted::Interrupted;

const PODS: &str = "/api/v1/namespaces/g/pods";
const BUDGETS: &str = "/apis/policy/v1/namespaces/g/poddisruptionbudgets";

/// A cluster with a budget that lets `allowed` of the pods labelled `a: b` go.
async fn with_budget(allowed: usize) -> Cluster {
    let cluster = Cluster::start().await;
    put_budget(&cluster, allowed).await;
    cluster
}

async fn put_budget(cluster: &Cluster, allowed: usize) {
    cluster.namespace("g").await;
    cluster.service_account("g").await;
    let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": "b" },
        "spec": { "minAvailable": 1, "selector": { "matchLabels": { "a": "b" } } } });
    let made = cluster.ask(Method::POST, BUDGETS, &budget).await;
    assert_eq!(made["kind"], "PodDisruptionBudget", "{made}");
    let status = json!({ "status": { "observedGeneration": 1, "disruptionsAllowed": allowed,
        "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1 } });
    let path = format!("{BUDGETS}/b/status");
    let allows = cluster.ask(Method::PATCH, &path, &status).await;
    assert_eq!(allows["status"]["disruptionsAllowed"], allowed, "{allows}");
}

async fn run(cluster: &Cluster, name: &str, phase: &str, ready: &str) {
    let pod = json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "a": "b" } },
        "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "i" }] } });
    let made = cluster.ask(Method::POST, PODS, &pod).await;
    assert_eq!(made["kind"], "Pod", "{made}");
    let runs = tell(&cluster.client(), name, phase, ready).await;
    assert_eq!(runs["status"]["phase"], phase, "{runs}");
}

/// What the pod's node says of it.
async fn tell(node: &Client, name: &str, phase: &str, ready: &str) -> Value {
    let status = json!({ "status": { "phase": phase,
        "conditions": [{ "type": "Ready", "status": ready }] } });
    let path = format!("{PODS}/{name}/status");
    ask_as(node, Method::PATCH, &path, &status).await
}

async fn evict(cluster: &Cluster, name: &str, options: &Value) -> Value {
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": name }, "deleteOptions": options });
    let path = format!("{PODS}/{name}/eviction");
    cluster.ask(Method::POST, &path, &eviction).await
}

#[tokio::test]
async fn evictions_at_once_all_get_their_share_of_the_budget() {
    let cluster = with_budget(7).await;
    let names: Vec<String> = (0..8).map(|n| format!("p{n}")).collect();
    for name in &names {
        run(&cluster, name, "Running", "True").await;
    }
    let nothing = json!({});
    let evictions = names.iter().map(|name| evict(&cluster, name, &nothing));
    let answers = join_all(evictions).await;
    let done = answers.iter().filter(|answer| answer["code"] == 201);
    assert_eq!(done.count(), 7, "{answers:?}");
    let refused = answers.iter().find(|answer| answer["code"] != 201).unwrap();
    let why = "The disruption budget b needs 1 healthy pods and has 1 currently";
    assert_eq!(refused["code"], 429, "{refused}");
    assert_eq!(refused["details"]["causes"][0]["message"], why);
    let left = cluster.get(&format!("{BUDGETS}/b")).await;
    assert_eq!(left["status"]["disruptionsAllowed"], 0);
}

/// A pod that is not ready, and that its node says to be just after an eviction read it.
async fn is_kept_once_ready(phase: &str) {
    let (dir, layer) = (tempfile::tempdir().unwrap(), OnceLock::new());
    let cluster = Cluster::start_over(dir, 0, Access::default(), |log| {
        layer
            .get_or_init(|| Arc::new(Interrupted::new(log)))
            .clone()
    });
    let cluster = cluster.await.unwrap();
    put_budget(&cluster, 0).await;
    run(&cluster, "p", phase, "False").await;
    let (store, node) = (layer.get().unwrap(), cluster.client());
    store.after_read("/registry/pods/g/p", async move {
        let ready = tell(&node, "p", "Running", "True").await;
        assert_eq!(ready["kind"], "Pod", "{ready}");
    });
    let refused = evict(&cluster, "p", &json!({})).await;
    assert!(store.is_done());
    assert_eq!(refused["code"], 429, "{refused}");
    let kept = cluster.get(&format!("{PODS}/p")).await;
    assert!(kept["metadata"]["deletionTimestamp"].is_null(), "{kept}");
}

#[tokio::test]
async fn an_unready_pod_that_gets_ready_meanwhile_is_kept() {
    is_kept_once_ready("Running").await;
}

#[tokio::test]
async fn a_pending_pod_that_gets_ready_meanwhile_is_kept() {
    is_kept_once_ready("Pending").await;
}

#[tokio::test]
async fn an_eviction_of_another_pod_takes_nothing_from_the_budget() {
    let cluster = with_budget(1).await;
    run(&cluster, "p", "Running", "True").await;
    let other = json!({ "preconditions": { "uid": "another" } });
    let refused = evict(&cluster, "p", &other).await;
    assert_eq!(refused["code"], 409, "{refused}");
    let left = cluster.get(&format!("{BUDGETS}/b")).await;
    assert_eq!(left["status"]["disruptionsAllowed"], 1);
}

#[tokio::test]
async fn a_budget_that_nobody_keeps_up_lets_only_so_many_pods_go() {
    let cluster = with_budget(1).await;
    run(&cluster, "p", "Running", "True").await;
    let gone = (0..=2000).map(|n| (format!("gone-{n}"), json!("2026-01-01T00:00:00Z")));
    let gone: serde_json::Map<_, _> = gone.collect();
    let status = json!({ "status": { "disruptedPods": gone } });
    let path = format!("{BUDGETS}/b/status");
    cluster.ask(Method::PATCH, &path, &status).await;
    let refused = evict(&cluster, "p", &json!({})).await;
    assert_eq!(refused["code"], 403, "{refused}");
    let why = "poddisruptionbudget.policy \"b\" is forbidden: DisruptedPods map too big - \
        too many evictions not confirmed by PDB controller";
    assert_eq!(refused["message"], why);
}
