//! Attacks on service-account tokens, and what each of them ends with.

use http::Method;
use serde_json::{Value, json};

use crate::cluster::{Cluster, ask_as};
use crate::listen::over_tls;

const ACCOUNTS: &str = "/api/v1/namespaces/g/serviceaccounts";
const PODS: &str = "/api/v1/namespaces/g/pods";
const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

async fn with_account() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "sa" } });
    cluster.ask(Method::POST, ACCOUNTS, &account).await;
    cluster
}

async fn request(cluster: &Cluster, spec: Value) -> Value {
    let request =
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
    let path = format!("{ACCOUNTS}/sa/token");
    cluster.ask(Method::POST, &path, &request).await
}

async fn token(cluster: &Cluster, spec: Value) -> String {
    let made = request(cluster, spec).await;
    made["status"]["token"].as_str().unwrap().to_owned()
}

async fn review(cluster: &Cluster, token: &str, audiences: &[&str]) -> Value {
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": { "token": token, "audiences": audiences } });
    cluster.ask(Method::POST, REVIEWS, &review).await["status"].clone()
}

async fn holds(cluster: &Cluster, token: &str) -> bool {
    review(cluster, token, &[]).await["authenticated"] == true
}

async fn make_pod(cluster: &Cluster) -> Value {
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": { "serviceAccountName": "sa", "nodeName": "n1",
            "containers": [{ "name": "c", "image": "i" }] } });
    cluster.ask(Method::POST, PODS, &pod).await
}

fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload);
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_for_others_is_not_taken_here() {
    let cluster = with_account().await;
    let token = token(&cluster, json!({ "audiences": ["vault"] })).await;
    assert!(!holds(&cluster, &token).await);
    let seen = review(&cluster, &token, &["vault", "other"]).await;
    assert_eq!(seen["authenticated"], true);
    assert_eq!(seen["audiences"], json!(["vault"]));
    let client = over_tls(&cluster, json!({ "token": token })).await;
    let refused = ask_as(&client, Method::GET, "/api", &Value::Null).await;
    assert_eq!(refused["code"], 401);
}

#[tokio::test]
async fn a_pods_token_ends_with_the_pod_and_is_not_that_of_its_successor() {
    let cluster = with_account().await;
    let pod = make_pod(&cluster).await;
    let bound =
        json!({ "kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["metadata"]["uid"] });
    let token = token(&cluster, json!({ "boundObjectRef": bound })).await;
    let seen = review(&cluster, &token, &[]).await;
    let extra = &seen["user"]["extra"];
    assert_eq!(extra["authentication.kubernetes.io/pod-name"], json!(["p"]));
    assert_eq!(
        extra["authentication.kubernetes.io/node-name"],
        json!(["n1"])
    );
    let path = format!("{PODS}/p?gracePeriodSeconds=0");
    cluster.ask(Method::DELETE, &path, &Value::Null).await;
    assert!(!holds(&cluster, &token).await);
    make_pod(&cluster).await;
    assert!(!holds(&cluster, &token).await);
}

#[tokio::test]
async fn a_token_is_bound_to_what_is_there_and_to_the_accounts_own_pods() {
    let cluster = with_account().await;
    let bind = |name: &str, uid: &str| json!({ "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": name, "uid": uid } });
    assert_eq!(request(&cluster, bind("none", "")).await["code"], 404);
    make_pod(&cluster).await;
    assert_eq!(request(&cluster, bind("p", "other")).await["code"], 409);
    let other =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    cluster.ask(Method::POST, ACCOUNTS, &other).await;
    let wanted = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": bind("p", "") });
    let path = format!("{ACCOUNTS}/default/token");
    assert_eq!(cluster.ask(Method::POST, &path, &wanted).await["code"], 400);
}

#[tokio::test]
async fn the_year_that_pods_get_is_for_this_servers_audience_only() {
    let cluster = with_account().await;
    let pod = make_pod(&cluster).await;
    let bound =
        json!({ "kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["metadata"]["uid"] });
    let life = |claims: &Value| claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    let spec = json!({ "boundObjectRef": bound, "expirationSeconds": 3607 });
    let own = claims(&token(&cluster, spec).await);
    assert_eq!(life(&own), 365 * 24 * 3600);
    assert!(own["kubernetes.io"]["warnafter"].is_u64());
    let spec =
        json!({ "boundObjectRef": bound, "expirationSeconds": 3607, "audiences": ["vault"] });
    let other = claims(&token(&cluster, spec).await);
    assert_eq!(life(&other), 3607);
    assert!(other["kubernetes.io"]["warnafter"].is_null());
}

#[tokio::test]
async fn a_secrets_token_holds_as_long_as_the_secret_holds_it() {
    use base64::Engine as _;
    let cluster = with_account().await;
    let secrets = "/api/v1/namespaces/g/secrets";
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": { "name": "s", "annotations": { "kubernetes.io/service-account.name": "sa" } } });
    let made = cluster.ask(Method::POST, secrets, &secret).await;
    let encoded = made["data"]["token"].as_str().unwrap();
    let token = base64::engine::general_purpose::STANDARD.decode(encoded);
    let token = String::from_utf8(token.unwrap()).unwrap();
    assert!(holds(&cluster, &token).await);
    assert!(review(&cluster, &token, &["vault"]).await["authenticated"].is_null());
    let path = format!("{secrets}/s");
    let other = json!({ "data": { "token": "b3RoZXI=" } });
    cluster.ask(Method::PATCH, &path, &other).await;
    assert!(!holds(&cluster, &token).await);
    cluster
        .ask(
            Method::PATCH,
            &path,
            &json!({ "data": { "token": encoded } }),
        )
        .await;
    assert!(holds(&cluster, &token).await);
    cluster.ask(Method::DELETE, &path, &Value::Null).await;
    assert!(!holds(&cluster, &token).await);
}

#[tokio::test]
async fn the_keys_are_told_to_whoever_may_ask_for_them() {
    let cluster = Cluster::start().await;
    let document = cluster.get("/.well-known/openid-configuration").await;
    assert_eq!(document["issuer"], apiserver::Config::ISSUER);
    let keys = cluster.get("/openid/v1/jwks").await;
    assert_eq!(keys["keys"][0]["alg"], "ES256");
    assert!(
        keys["keys"][0]["d"].is_null(),
        "the private part stays here"
    );
}

#[tokio::test]
async fn a_node_gets_tokens_of_its_own_pods_for_their_own_audiences() {
    let cluster = with_account().await;
    let pod = make_pod(&cluster).await;
    let uid = pod["metadata"]["uid"].clone();
    let groups = ["system:nodes".to_owned(), "system:authenticated".to_owned()];
    let as_node = |name: &str| {
        let user = apiserver::User::new(format!("system:node:{name}"), groups.clone());
        cluster.server.client_as(user)
    };
    let ask = async |name: &str, spec: Value| {
        let wanted = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
        let path = format!("{ACCOUNTS}/sa/token");
        let answer = ask_as(&as_node(name), Method::POST, &path, &wanted).await;
        answer["code"].as_u64().unwrap_or(201)
    };
    let bound = json!({ "kind": "Pod", "apiVersion": "v1", "name": "p", "uid": uid });
    let wanted = json!({ "boundObjectRef": bound });
    // Pods travel to the authorizer by watch.
    for _ in 0..100 {
        if ask("n1", wanted.clone()).await == 201 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(ask("n1", wanted.clone()).await, 201);
    assert_eq!(ask("n2", wanted).await, 403);
    assert_eq!(ask("n1", json!({})).await, 403);
    let vault = json!({ "boundObjectRef": bound, "audiences": ["vault"] });
    assert_eq!(ask("n1", vault).await, 403);
}
