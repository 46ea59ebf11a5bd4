//! Ways around authorization, each of which must be closed.

use apiserver::User;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::access::as_user;
use crate::cluster::Cluster;

pub const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// A cluster where `ann` may do in the namespace g what the rules say.
async fn with_rules(rules: Value) -> Cluster {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster.namespace("h").await;
    grant(&cluster, "Role", &format!("{RBAC}/namespaces/g"), rules).await;
    cluster
}

pub async fn grant(cluster: &Cluster, kind: &str, path: &str, rules: Value) {
    let plural = kind.to_lowercase();
    let api = "rbac.authorization.k8s.io/v1";
    let role =
        json!({ "apiVersion": api, "kind": kind, "metadata": { "name": "r" }, "rules": rules });
    let made = cluster
        .ask(Method::POST, &format!("{path}/{plural}s"), &role)
        .await;
    assert_eq!(made["kind"], kind, "{made}");
    let binding = json!({ "apiVersion": api, "kind": format!("{kind}Binding"), "metadata": { "name": "r" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "r" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann" }] });
    let made = cluster
        .ask(Method::POST, &format!("{path}/{plural}bindings"), &binding)
        .await;
    assert_eq!(made["roleRef"]["name"], "r", "{made}");
}

pub fn rule(resource: &str, verbs: &[&str]) -> Value {
    json!([{ "apiGroups": ["", "coordination.k8s.io"], "resources": [resource], "verbs": verbs }])
}

/// What ann is told, once her role has reached the authorizer: it does so by watch.
pub async fn told(cluster: &Cluster, method: Method, path: &str, body: &Value) -> Value {
    let mut told = Value::Null;
    for _ in 0..100 {
        told = as_user(cluster, "ann", method.clone(), path, body).await;
        if told["code"] != 403 {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    told
}

async fn text_of(cluster: &Cluster, path: &str) -> Result<String, kube::Error> {
    let user = User::new("ann", ["system:authenticated".to_owned()]);
    let request = Request::get(path).body(Vec::new()).unwrap();
    cluster.server.client_as(user).request_text(request).await
}

fn config_map(name: &str, kind: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name } })
}

#[tokio::test]
async fn who_owns_a_namespace_has_no_say_about_others() {
    let cluster =
        with_rules(json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }])).await;
    let own = told(&cluster, Method::GET, "/api/v1/namespaces/g", &Value::Null).await;
    assert_eq!(own["metadata"]["name"], "g");
    for (method, path) in [
        (Method::GET, "/api/v1/namespaces/g/namespaces"),
        (Method::GET, "/api/v1/namespaces/g/namespaces/h"),
        (Method::GET, "/api/v1/namespaces/g/%6eamespaces/h"),
        (Method::DELETE, "/api/v1/namespaces/g/namespaces/h"),
        (Method::DELETE, "/api/v1/namespaces/g/namespaces"),
        (Method::PUT, "/api/v1/namespaces/g/namespaces/h/finalize"),
    ] {
        let answer = as_user(&cluster, "ann", method.clone(), path, &Value::Null).await;
        assert_eq!(answer["code"], 404, "{method} {path}: {answer}");
    }
    let other = cluster.get("/api/v1/namespaces/h").await;
    assert!(other["metadata"]["deletionTimestamp"].is_null(), "{other}");
}

#[tokio::test]
async fn a_watch_of_one_object_shows_that_one_alone() {
    let rules = json!([{ "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["x"], "verbs": ["watch"] }]);
    let cluster = with_rules(rules).await;
    for name in ["x", "y"] {
        let path = "/api/v1/namespaces/g/secrets";
        cluster
            .ask(Method::POST, path, &config_map(name, "Secret"))
            .await;
    }
    let old = "/api/v1/watch/namespaces/g/secrets/x?timeoutSeconds=1";
    let mut seen = text_of(&cluster, old).await;
    for _ in 0..100 {
        if seen.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        seen = text_of(&cluster, old).await;
    }
    let seen = seen.unwrap();
    assert!(
        seen.contains("\"name\":\"x\"") && !seen.contains("\"name\":\"y\""),
        "{seen}"
    );
    let wider = format!("{old}&fieldSelector=metadata.name=y");
    let refused = text_of(&cluster, &wider).await.unwrap_err();
    assert!(
        refused.to_string().contains("doesn't match requested name"),
        "{refused}"
    );
    // With a name it is a GET, whatever the query says, and that is not allowed.
    let named = "/api/v1/namespaces/g/secrets/x?watch=1&timeoutSeconds=1";
    let refused = text_of(&cluster, named).await.unwrap_err();
    assert!(
        refused.to_string().contains("cannot get resource"),
        "{refused}"
    );
    let below = "/api/v1/watch/namespaces/g/secrets/x/status";
    assert!(text_of(&cluster, below).await.is_err());
}

#[tokio::test]
async fn who_may_only_change_objects_makes_none() {
    let cluster = with_rules(rule("configmaps", &["patch", "get"])).await;
    let client = |path: &str| {
        let request = Request::patch(format!("{path}?fieldManager=m"))
            .header("content-type", "application/apply-patch+yaml")
            .body(config_map("c", "ConfigMap").to_string().into_bytes());
        (
            cluster
                .server
                .client_as(User::new("ann", ["system:authenticated".to_owned()])),
            request.unwrap(),
        )
    };
    let path = "/api/v1/namespaces/g/configmaps/c";
    let missing = told(&cluster, Method::GET, path, &Value::Null).await;
    assert_eq!(missing["code"], 404, "{missing}");
    let (ann, apply) = client(path);
    let refused = ann.request_text(apply).await.unwrap_err();
    assert!(
        refused.to_string().contains("cannot create resource"),
        "{refused}"
    );
    cluster
        .ask(
            Method::POST,
            "/api/v1/namespaces/g/configmaps",
            &config_map("c", "ConfigMap"),
        )
        .await;
    let (ann, apply) = client(path);
    ann.request_text(apply).await.unwrap();
}

#[tokio::test]
async fn who_may_only_update_makes_nothing_where_nothing_is() {
    let cluster = with_rules(rule("leases", &["update", "get"])).await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/g/leases/l";
    let lease = |name: &str| json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": name } });
    let missing = told(&cluster, Method::GET, path, &Value::Null).await;
    assert_eq!(missing["code"], 404, "{missing}");
    let refused = as_user(&cluster, "ann", Method::PUT, path, &lease("l")).await;
    assert_eq!(refused["code"], 403, "{refused}");
    let renamed = cluster.ask(Method::PUT, path, &lease("other")).await;
    assert_eq!(renamed["code"], 400, "{renamed}");
    let made = cluster.ask(Method::PUT, path, &lease("l")).await;
    assert_eq!(made["metadata"]["name"], "l", "{made}");
}

#[tokio::test]
async fn a_path_that_a_role_allows_gives_no_secrets_away() {
    let cluster = Cluster::start().await;
    grant(
        &cluster,
        "ClusterRole",
        RBAC,
        json!([{ "nonResourceURLs": ["*"], "verbs": ["get"] }]),
    )
    .await;
    told(&cluster, Method::GET, "/metrics", &Value::Null).await;
    let refused = as_user(
        &cluster,
        "ann",
        Method::GET,
        "/skiff/v1/snapshot",
        &Value::Null,
    )
    .await;
    assert_eq!(refused["code"], 403, "{refused}");
}

#[tokio::test]
async fn a_node_does_not_make_itself_anew() {
    let cluster = Cluster::start().await;
    let groups = ["system:nodes", "system:authenticated"].map(str::to_owned);
    let node = cluster
        .server
        .client_as(User::new("system:node:n1", groups));
    let body = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
    let made = crate::cluster::ask_as(&node, Method::POST, "/api/v1/nodes", &body).await;
    assert_eq!(made["metadata"]["name"], "n1", "{made}");
    let refused =
        crate::cluster::ask_as(&node, Method::DELETE, "/api/v1/nodes/n1", &Value::Null).await;
    assert_eq!(refused["code"], 403, "{refused}");
}

#[tokio::test]
async fn objects_of_all_namespaces_are_not_deleted_at_once() {
    let cluster = Cluster::start().await;
    let answer = cluster
        .ask(Method::DELETE, "/api/v1/configmaps", &Value::Null)
        .await;
    assert_eq!(answer["code"], 405, "{answer}");
}

#[tokio::test]
async fn a_watch_for_ever_is_a_watch() {
    let cluster = Cluster::start().await;
    let path = format!("/api/v1/pods?watch=1&timeoutSeconds={}", i64::MAX);
    let request = Request::get(path)
        .body(kube::client::Body::empty())
        .unwrap();
    let answer = cluster.client().send(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}
