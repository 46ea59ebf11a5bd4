use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// A cluster with a namespace `g` of these labels.
async fn with_labels(labels: &Value) -> Cluster {
    let cluster = Cluster::start().await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "g", "labels": labels } });
    let made = cluster
        .ask(Method::POST, "/api/v1/namespaces", &namespace)
        .await;
    assert_eq!(made["kind"], "Namespace", "{made}");
    cluster.service_account("g").await;
    cluster
}

fn pod(name: &str, privileged: bool) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "i", "securityContext": { "privileged": privileged } }] } })
}

async fn create(cluster: &Cluster, pod: &Value) -> Value {
    cluster
        .ask(Method::POST, "/api/v1/namespaces/g/pods", pod)
        .await
}

/// The answer's code and warnings.
async fn send(cluster: &Cluster, method: Method, path: &str, body: &Value) -> (u16, Vec<String>) {
    let kind = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(body.to_string().into_bytes().into())
        .unwrap();
    let answer = cluster.client().send(request).await.unwrap();
    let warnings = answer.headers().get_all("warning").iter();
    let warnings = warnings.map(|w| w.to_str().unwrap().to_owned()).collect();
    let code = answer.status().as_u16();
    drop(answer.into_body().collect().await);
    (code, warnings)
}

#[tokio::test]
async fn a_pod_that_breaks_the_enforced_level_is_refused() {
    let cluster = with_labels(&json!({ "pod-security.kubernetes.io/enforce": "baseline" })).await;
    let refused = create(&cluster, &pod("p", true)).await;
    assert_eq!(
        refused["message"],
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": privileged (container \"c\" must not set securityContext.privileged=true)"
    );
    assert_eq!(create(&cluster, &pod("p", false)).await["kind"], "Pod");
}

#[tokio::test]
async fn a_workload_is_only_warned_about() {
    let labels = json!({
        "pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "baseline",
        "pod-security.kubernetes.io/warn-version": "v1.30",
    });
    let cluster = with_labels(&labels).await;
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": { "name": "r" },
        "spec": { "selector": { "matchLabels": { "a": "b" } }, "template": {
            "metadata": { "labels": { "a": "b" } }, "spec": pod("x", true)["spec"] } },
    });
    let path = "/apis/apps/v1/namespaces/g/replicasets";
    let (code, warnings) = send(&cluster, Method::POST, path, &set).await;
    assert_eq!(code, 201);
    assert_eq!(
        warnings,
        [
            "299 - \"would violate PodSecurity \\\"baseline:v1.30\\\": privileged (container \\\"c\\\" must not set securityContext.privileged=true)\""
        ]
    );
}

#[tokio::test]
async fn who_makes_a_namespace_stricter_hears_of_its_pods() {
    let cluster = with_labels(&json!({})).await;
    create(&cluster, &pod("p", true)).await;
    create(&cluster, &pod("q", true)).await;
    let labels =
        json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "baseline" } } });
    let (code, warnings) = send(&cluster, Method::PATCH, "/api/v1/namespaces/g", &labels).await;
    assert_eq!(code, 200);
    assert_eq!(
        warnings,
        [
            "299 - \"existing pods in namespace \\\"g\\\" violate the new PodSecurity enforce level \\\"baseline:latest\\\"\"",
            "299 - \"p (and 1 other pod): privileged\""
        ]
    );
    let path = "/api/v1/namespaces/g/pods/p";
    let labelled = json!({ "metadata": { "labels": { "a": "b" } } });
    let kept = cluster.ask(Method::PATCH, path, &labelled).await;
    assert_eq!(
        kept["metadata"]["labels"]["a"], "b",
        "a pod that is there stays: {kept}"
    );
    let mut changed = cluster.get(path).await;
    changed["spec"]["containers"][0]["image"] = "j".into();
    let refused = cluster.ask(Method::PUT, path, &changed).await;
    assert_eq!(refused["code"], 403, "a new image is a new pod: {refused}");
}

#[tokio::test]
async fn a_namespace_with_a_level_that_does_not_exist_is_refused() {
    let cluster = Cluster::start().await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "g", "labels": { "pod-security.kubernetes.io/enforce": "strict" } } });
    let refused = cluster
        .ask(Method::POST, "/api/v1/namespaces", &namespace)
        .await;
    assert_eq!(
        refused["message"],
        "Namespace \"g\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted"
    );
}

#[tokio::test]
async fn the_administrators_defaults_hold_where_labels_say_nothing_but_not_for_the_exempt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admission.yaml");
    let configuration = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [{ "name": "PodSecurity", "configuration": {
            "defaults": { "enforce": "baseline" }, "exemptions": { "namespaces": ["free"] } } }],
    });
    std::fs::write(&path, configuration.to_string()).unwrap();
    let access = apiserver::Access {
        admission: Some(path),
        ..apiserver::Access::default()
    };
    let cluster = Cluster::start_with(dir, 0, access).await.unwrap();
    for (namespace, is_free) in [("strict", false), ("free", true)] {
        cluster.namespace(namespace).await;
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
        let path = format!("/api/v1/namespaces/{namespace}");
        cluster
            .ask(Method::POST, &format!("{path}/serviceaccounts"), &account)
            .await;
        let answer = cluster
            .ask(Method::POST, &format!("{path}/pods"), &pod("p", true))
            .await;
        assert_eq!(answer["kind"] == "Pod", is_free, "{namespace}: {answer}");
    }
}
