//! What no role allows, by the word of another server.

use std::time::Duration;

use apiserver::{Access, AuthorizationWebhook};
use http::Method;
use serde_json::{Value, json};

use crate::access::as_user;
use crate::cluster::Cluster;
use crate::extension::{Extension, answer_json};

/// A cluster whose webhook lets `ann` list, create and escalate.
async fn with_webhook() -> (Cluster, Extension) {
    let dir = tempfile::tempdir().unwrap();
    let authority = pki::Authority::load_or_create(&dir.path().join("others"), "o", "o").unwrap();
    let webhook = Extension::signed_by(&authority, ("x", "authz"), |asked| {
        let mut review: Value = serde_json::from_slice(asked.request.body()).unwrap();
        assert_eq!(review["apiVersion"], "authorization.k8s.io/v1");
        assert_eq!(asked.request.headers()["authorization"], "Bearer mine");
        let about = &review["spec"]["resourceAttributes"];
        let is_known = ["list", "create", "escalate"]
            .iter()
            .any(|verb| about["verb"] == *verb);
        let allowed = review["spec"]["user"] == "ann" && is_known;
        let reason = if allowed { "ann may" } else { "no friend" };
        review["status"] = json!({ "allowed": allowed, "reason": reason });
        answer_json(&review)
    })
    .await;
    let told = AuthorizationWebhook {
        config: webhook.kubeconfig(dir.path(), &authority),
        version: "v1".into(),
        authorized: Duration::from_secs(60),
        unauthorized: Duration::from_secs(60),
    };
    let access = Access {
        authorization_webhook: Some(told),
        ..Access::default()
    };
    let cluster = Cluster::start_with(dir, 0, access).await.unwrap();
    (cluster, webhook)
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/g/configmaps";

#[tokio::test]
async fn what_no_role_allows_a_webhook_may_and_is_asked_once() {
    let (cluster, webhook) = with_webhook().await;
    let list =
        async |user: &str| as_user(&cluster, user, Method::GET, CONFIG_MAPS, &Value::Null).await;
    assert_eq!(list("ann").await["kind"], "ConfigMapList");
    assert_eq!(list("ann").await["kind"], "ConfigMapList");
    let refused = list("eve").await;
    assert_eq!(refused["code"], 403);
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.ends_with("in the namespace \"g\": no friend"),
        "{message}"
    );
    let asked = webhook.asked();
    assert_eq!(asked.len(), 2);
    let review: Value = serde_json::from_slice(asked[0].request.body()).unwrap();
    let about = &review["spec"]["resourceAttributes"];
    let expected =
        json!({ "verb": "list", "version": "v1", "resource": "configmaps", "namespace": "g" });
    assert_eq!(*about, expected);
}

#[tokio::test]
async fn what_roles_allow_is_not_asked() {
    let (cluster, webhook) = with_webhook().await;
    assert_eq!(cluster.get(CONFIG_MAPS).await["kind"], "ConfigMapList");
    assert!(webhook.asked().is_empty());
}

#[tokio::test]
async fn reviews_say_what_the_webhook_said() {
    let (cluster, _webhook) = with_webhook().await;
    let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
        "user": "ann", "resourceAttributes": { "verb": "list", "resource": "secrets", "namespace": "g" } } });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = cluster.ask(Method::POST, path, &review).await;
    assert_eq!(
        answer["status"],
        json!({ "allowed": true, "reason": "ann may" })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_admission_the_webhook_is_asked_too() {
    let (cluster, webhook) = with_webhook().await;
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": "r" },
        "rules": [{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }] });
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let made = as_user(&cluster, "ann", Method::POST, path, &role).await;
    assert_eq!(made["kind"], "ClusterRole", "{made}");
    assert_eq!(webhook.asked().len(), 2);
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_has_no_opinion() {
    let (cluster, webhook) = with_webhook().await;
    drop(webhook);
    let refused = as_user(&cluster, "ann", Method::GET, CONFIG_MAPS, &Value::Null).await;
    assert_eq!(refused["code"], 403);
    assert_eq!(cluster.get(CONFIG_MAPS).await["kind"], "ConfigMapList");
}
