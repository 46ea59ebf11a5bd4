use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use apiserver::{Access, User, audit};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::{Cluster, TOKEN, ask_as};
use crate::interrupted::Interrupted;
use crate::listen::over_tls;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "k": "told" } })
}

/// A server with these rules; what it itself does at its start is not told.
async fn start(rules: &str) -> Cluster {
    let dir = tempfile::tempdir().unwrap();
    let access = audited(&dir, rules);
    Cluster::start_with(dir, 0, access).await.unwrap()
}

fn audited(dir: &TempDir, rules: &str) -> Access {
    let policy = dir.path().join("policy.yaml");
    let text = format!(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  users: ['system:apiserver']\n{rules}"
    );
    std::fs::write(&policy, text).unwrap();
    let audit = audit::Config {
        policy,
        log: dir.path().join("audit.log"),
        max_age: 0,
        max_backups: 0,
        max_size: 0,
    };
    Access {
        audit: Some(audit),
        ..Access::default()
    }
}

/// The log's events; the server is stopped, so that all are there.
async fn events(cluster: Cluster) -> Vec<Value> {
    let dir = cluster.stop().await;
    read(&dir.path().join("audit.log"))
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn metadata_says_who_what_and_how_it_ended_but_no_body() {
    let cluster = start("- level: Metadata\n").await;
    cluster.ask(Method::POST, MAPS, &map("a")).await;
    let log = cluster.dir.path().join("audit.log");
    let mode = std::fs::metadata(log).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let events = events(cluster).await;
    assert_eq!(events.len(), 2, "{events:?}");
    let (received, complete) = (&events[0], &events[1]);
    assert_eq!(received["stage"], "RequestReceived");
    assert_eq!(received["auditID"], complete["auditID"]);
    assert_eq!(complete["kind"], "Event");
    assert_eq!(complete["apiVersion"], "audit.k8s.io/v1");
    assert_eq!(complete["stage"], "ResponseComplete");
    assert_eq!(complete["level"], "Metadata");
    assert_eq!(complete["verb"], "create");
    assert_eq!(complete["requestURI"], MAPS);
    assert_eq!(complete["user"]["username"], "system:admin");
    let object = json!({ "resource": "configmaps", "namespace": "default", "apiVersion": "v1" });
    assert_eq!(complete["objectRef"], object);
    let status = json!({ "metadata": {}, "code": 201 });
    assert_eq!(complete["responseStatus"], status);
    assert_eq!(
        complete["annotations"]["authorization.k8s.io/decision"],
        "allow"
    );
    assert!(!complete.to_string().contains("told"));
}

#[tokio::test]
async fn bodies_are_shown_where_the_policy_says_so() {
    let rules = "- level: Metadata\n  resources: [{ group: '', resources: [secrets] }]\n  omitStages: [RequestReceived]\n- level: RequestResponse\n  omitManagedFields: true\n  omitStages: [RequestReceived]\n";
    let cluster = start(rules).await;
    cluster.ask(Method::POST, MAPS, &map("a")).await;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "k": "hidden" } });
    let secrets = "/api/v1/namespaces/default/secrets";
    cluster.ask(Method::POST, secrets, &secret).await;
    let events = events(cluster).await;
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains("hidden") && !text.contains("aGlkZGVu"));
    assert!(!text.contains("managedFields"));
    let event = &events[0];
    assert_eq!(event["requestObject"], map("a"));
    assert_eq!(event["responseObject"]["data"]["k"], "told");
    assert!(event["responseObject"]["metadata"]["uid"].is_string());
    assert_eq!(event["objectRef"]["name"], "a");
    let stages = events.iter().map(|event| &event["stage"]);
    assert!(stages.into_iter().all(|stage| stage == "ResponseComplete"));
}

#[tokio::test]
async fn refusals_say_why() {
    let cluster = start("- level: Metadata\n  omitStages: [RequestReceived]\n").await;
    let ann = cluster
        .server
        .client_as(User::new("ann", ["system:authenticated".to_owned()]));
    ask_as(&ann, Method::GET, "/api/v1/nodes", &Value::Null).await;
    let nobody = over_tls(&cluster, json!({ "token": "wrong" })).await;
    ask_as(&nobody, Method::GET, "/api/v1/nodes", &Value::Null).await;
    cluster.get("/api/v1/nodes/none").await;
    let events = events(cluster).await;
    let forbidden = &events[0];
    assert_eq!(
        forbidden["annotations"]["authorization.k8s.io/decision"],
        "forbid"
    );
    assert_eq!(forbidden["responseStatus"]["reason"], "Forbidden");
    let refused = &events[1];
    assert_eq!(refused["stage"], "ResponseStarted");
    assert_eq!(refused["user"], json!({}));
    assert_eq!(refused["responseStatus"]["code"], 401);
    let why = "Authentication failed, attempted: bearer";
    assert_eq!(refused["responseStatus"]["message"], why);
    assert_eq!(refused["sourceIPs"], json!(["127.0.0.1"]));
    let missing = &events[2];
    assert_eq!(missing["responseStatus"]["reason"], "NotFound");
    assert_eq!(missing["responseStatus"]["details"]["name"], "none");
}

#[tokio::test]
async fn an_impersonated_user_stands_beside_the_real_one() {
    let cluster = start("- level: Metadata\n").await;
    let admin = over_tls(&cluster, json!({ "token": TOKEN, "as": "ann" })).await;
    ask_as(&admin, Method::GET, MAPS, &Value::Null).await;
    let events = events(cluster).await;
    let complete = &events[1];
    assert_eq!(complete["user"]["username"], "admin");
    assert_eq!(complete["impersonatedUser"]["username"], "ann");
    let received = &events[0];
    assert!(received["impersonatedUser"].is_null());
}

#[tokio::test]
async fn a_watch_is_told_when_it_starts_and_when_it_ends() {
    let cluster = start("- level: RequestResponse\n").await;
    let path = format!("{MAPS}?watch=true&timeoutSeconds=1");
    cluster.get(&path).await;
    let events = events(cluster).await;
    let stages: Vec<_> = events.iter().map(|event| event["stage"].as_str()).collect();
    let all = ["RequestReceived", "ResponseStarted", "ResponseComplete"];
    assert_eq!(stages, all.map(Some));
    assert_eq!(events[1]["verb"], "watch");
    assert!(events[2]["responseObject"].is_null());
}

#[tokio::test]
async fn a_write_whose_time_is_over_goes_on_and_is_told() {
    let (dir, layer) = (tempfile::tempdir().unwrap(), OnceLock::new());
    let access = audited(&dir, "- level: Metadata\n  omitStages: [RequestReceived]\n");
    let cluster = Cluster::start_over(dir, 0, access, |log| {
        layer
            .get_or_init(|| Arc::new(Interrupted::new(log)))
            .clone()
    });
    let cluster = cluster.await.unwrap();
    cluster.ask(Method::POST, MAPS, &map("a")).await;
    let store = layer.get().unwrap();
    store.after_read("/registry/configmaps/default/a", async {
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    let change = json!({ "data": { "k": "late" } });
    let path = format!("{MAPS}/a?timeout=20ms");
    let client = over_tls(&cluster, json!({ "token": TOKEN })).await;
    let late = ask_as(&client, Method::PATCH, &path, &change).await;
    assert_eq!(late["code"], 504, "{late}");
    let unseen = async {
        while cluster.get(&format!("{MAPS}/a")).await["data"]["k"] != "late" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), unseen).await;
    seen.expect("the change is made");
    let events = events(cluster).await;
    let patches: Vec<_> = events.iter().filter(|e| e["verb"] == "patch").collect();
    assert_eq!(patches.len(), 1, "{events:?}");
    assert_eq!(patches[0]["stage"], "ResponseComplete");
    assert_eq!(patches[0]["responseStatus"]["code"], 200);
}
