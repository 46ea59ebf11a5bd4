mod conversion;

use std::time::Duration;

use http::{Method, Request};
use serde_json::{Value, json};
use store::{Expect, Store};

use crate::cluster::Cluster;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/ex.io/v1/namespaces/g/widgets";

fn version(name: &str, is_storage: bool, spec: &Value) -> Value {
    json!({
        "name": name, "served": true, "storage": is_storage, "subresources": { "status": {} },
        "schema": { "openAPIV3Schema": { "type": "object", "properties": {
            "spec": spec,
            "status": { "type": "object", "properties": { "replicas": { "type": "integer" } } },
        } } },
    })
}

fn definition(versions: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.ex.io" },
        "spec": {
            "group": "ex.io", "scope": "Namespaced", "versions": versions,
            "names": { "plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"] },
        },
    })
}

fn spec() -> Value {
    json!({ "type": "object", "properties": {
        "size": { "type": "integer", "minimum": 1 },
        "color": { "type": "string", "default": "red" },
        "ports": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"],
            "items": { "type": "object", "required": ["port"], "properties": {
                "port": { "type": "integer" }, "name": { "type": "string" } } } },
        "checks": { "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["every"],
            "items": { "type": "object", "properties": {
                "every": { "type": "integer", "default": 10 }, "path": { "type": "string" } } } },
    } })
}

fn widget(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": "ex.io/v1", "kind": "Widget", "metadata": { "name": name }, "spec": spec })
}

/// Asks until the answer is as wanted.
async fn until(cluster: &Cluster, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..500 {
        let answer = cluster.get(path).await;
        if is_so(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{path} never became so: {}", cluster.get(path).await);
}

fn condition<'a>(definition: &'a Value, kind: &str) -> &'a Value {
    let all = definition["status"]["conditions"].as_array();
    let found = all.and_then(|all| all.iter().find(|c| c["type"] == kind));
    found.unwrap_or(&Value::Null)
}

async fn establish(cluster: &Cluster, definition: &Value) {
    let made = cluster.ask(Method::POST, DEFINITIONS, definition).await;
    assert_eq!(made["kind"], "CustomResourceDefinition", "{made}");
    let path = format!(
        "{DEFINITIONS}/{}",
        definition["metadata"]["name"].as_str().unwrap()
    );
    until(cluster, &path, |d| {
        condition(d, "Established")["status"] == "True"
    })
    .await;
}

/// A cluster with namespace `g` and widgets.
async fn with_widgets() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    establish(
        &cluster,
        &definition(&json!([version("v1", true, &spec())])),
    )
    .await;
    cluster
}

#[tokio::test]
async fn what_is_established_is_served_at_once() {
    let cluster = with_widgets().await;
    let list = cluster.get("/apis/ex.io/v1").await;
    let names: Vec<_> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["name"])
        .collect();
    assert_eq!(names, ["widgets", "widgets/status"]);
    assert_eq!(list["resources"][0]["shortNames"], json!(["wd"]));
    let made = cluster
        .ask(
            Method::POST,
            WIDGETS,
            &widget("a", &json!({ "size": 1, "other": 2 })),
        )
        .await;
    assert_eq!(made["spec"], json!({ "size": 1, "color": "red" }), "{made}");
    assert_eq!(made["metadata"]["generation"], 1);
    let openapi = cluster.get("/openapi/v3/apis/ex.io/v1").await;
    let schema = &openapi["components"]["schemas"]["io.ex.v1.Widget"];
    assert_eq!(
        schema["properties"]["spec"]["properties"]["size"]["type"], "integer",
        "{schema}"
    );
}

#[tokio::test]
async fn objects_are_validated_and_strict_requests_told_of_unknown_fields() {
    let cluster = with_widgets().await;
    let refused = cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 0 })))
        .await;
    assert_eq!(
        refused["message"],
        "Widget.ex.io \"a\" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"
    );
    let strict = format!("{WIDGETS}?fieldValidation=Strict");
    let refused = cluster
        .ask(Method::POST, &strict, &widget("a", &json!({ "other": 0 })))
        .await;
    assert_eq!(
        refused["message"],
        "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"spec.other\""
    );
}

#[tokio::test]
async fn status_is_apart_and_generations_count_the_rest() {
    let cluster = with_widgets().await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    let both = json!({ "spec": { "size": 2 }, "status": { "replicas": 3 } });
    let changed = cluster
        .ask(Method::PATCH, &format!("{WIDGETS}/a/status"), &both)
        .await;
    assert_eq!(changed["spec"]["size"], 1, "{changed}");
    assert_eq!(changed["status"]["replicas"], 3);
    assert_eq!(changed["metadata"]["generation"], 1);
    let changed = cluster
        .ask(Method::PATCH, &format!("{WIDGETS}/a"), &both)
        .await;
    assert_eq!(
        (&changed["spec"]["size"], &changed["metadata"]["generation"]),
        (&json!(2), &json!(2))
    );
}

#[tokio::test]
async fn a_custom_resource_stays_of_its_kind() {
    let cluster = with_widgets().await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    let path = format!("{WIDGETS}/a");
    let other = json!({ "kind": "Gadget", "apiVersion": "ex.io/v7" });
    let refused = cluster.ask(Method::PATCH, &path, &other).await;
    assert_eq!(refused["code"], 422, "{refused}");
    assert_eq!(
        refused["message"],
        "Widget.ex.io \"a\" is invalid: [kind: Invalid value: \"Gadget\": must be Widget, apiVersion: Invalid value: \"ex.io/v7\": must be ex.io/v1]"
    );
    let none = json!({ "kind": null });
    let refused = cluster.ask(Method::PATCH, &path, &none).await;
    assert_eq!(refused["details"]["causes"][0]["field"], "patch");
    assert_eq!(cluster.get(&path).await["kind"], "Widget");
}

#[tokio::test]
async fn defaults_of_the_status_are_there_whatever_is_written() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let mut v1 = version("v1", true, &spec());
    v1["schema"]["openAPIV3Schema"]["properties"]["status"] = json!({
        "type": "object", "default": {},
        "properties": { "phase": { "type": "string", "default": "Pending" } },
    });
    establish(&cluster, &definition(&json!([v1]))).await;
    let mut sent = widget("a", &json!({}));
    sent["status"] = json!({ "phase": "Ready" });
    let made = cluster.ask(Method::POST, WIDGETS, &sent).await;
    assert_eq!(made["status"], json!({ "phase": "Pending" }), "{made}");
    let status = format!("{WIDGETS}/a/status");
    let ready = json!({ "status": { "phase": "Ready" } });
    let changed = cluster.ask(Method::PATCH, &status, &ready).await;
    assert_eq!(changed["status"], ready["status"], "{changed}");
    let none = json!({ "status": null });
    let changed = cluster.ask(Method::PATCH, &status, &none).await;
    assert_eq!(changed["status"]["phase"], "Pending", "{changed}");
    assert_eq!(changed["metadata"]["generation"], 1);
    assert_eq!(cluster.get(&format!("{WIDGETS}/a")).await, changed);
}

async fn apply(cluster: &Cluster, manager: &str, ports: &Value) -> Value {
    apply_spec(cluster, manager, &json!({ "ports": ports })).await
}

async fn apply_spec(cluster: &Cluster, manager: &str, spec: &Value) -> Value {
    let body = widget("a", spec).to_string().into_bytes();
    let request = Request::patch(format!("{WIDGETS}/a?fieldManager={manager}"))
        .header("content-type", "application/apply-patch+yaml")
        .body(body)
        .unwrap();
    let text = cluster.client().request_text(request).await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn list_types_say_how_server_side_apply_merges() {
    let cluster = with_widgets().await;
    apply(&cluster, "one", &json!([{ "port": 1, "name": "x" }])).await;
    let merged = apply(&cluster, "two", &json!([{ "port": 2 }])).await;
    assert_eq!(
        merged["spec"]["ports"],
        json!([{ "port": 1, "name": "x" }, { "port": 2 }]),
        "{merged}"
    );
    let left = apply(&cluster, "one", &json!([])).await;
    assert_eq!(left["spec"]["ports"], json!([{ "port": 2 }]), "{left}");
}

#[tokio::test]
async fn an_item_without_its_key_is_the_one_with_the_default_of_the_key() {
    let cluster = with_widgets().await;
    let applied = apply_spec(&cluster, "one", &json!({ "checks": [{ "path": "/a" }] })).await;
    assert_eq!(
        applied["spec"]["checks"],
        json!([{ "every": 10, "path": "/a" }]),
        "{applied}"
    );
    let owned = &applied["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:checks"];
    let item = json!({ "k:{\"every\":10}": { ".": {}, "f:path": {} } });
    assert_eq!(owned, &item, "{applied}");
    let merged = apply_spec(&cluster, "two", &json!({ "checks": [{ "every": 5 }] })).await;
    assert_eq!(
        merged["spec"]["checks"],
        json!([{ "every": 10, "path": "/a" }, { "every": 5 }]),
        "{merged}"
    );
}

#[tokio::test]
async fn objects_stored_before_a_default_came_have_it_too() {
    let cluster = with_widgets().await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    let mut newer = spec();
    newer["properties"]["shape"] = json!({ "type": "string", "default": "round" });
    newer["properties"]["size"] = json!({ "type": "integer" });
    let change = json!({ "spec": { "versions": [version("v1", true, &newer)] } });
    let path = format!("{DEFINITIONS}/widgets.ex.io");
    cluster.ask(Method::PATCH, &path, &change).await;
    let one = until(&cluster, &format!("{WIDGETS}/a"), |w| {
        w["spec"]["shape"] == "round"
    })
    .await;
    assert_eq!(
        one["spec"],
        json!({ "size": 1, "color": "red", "shape": "round" })
    );
    let list = cluster.get(WIDGETS).await;
    assert_eq!(list["items"][0]["spec"]["shape"], "round");
}

#[tokio::test]
async fn a_definition_ends_with_its_objects() {
    let cluster = with_widgets().await;
    let mut held = widget("a", &json!({}));
    held["metadata"]["finalizers"] = json!(["ex.io/wait"]);
    cluster.ask(Method::POST, WIDGETS, &held).await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("b", &json!({})))
        .await;
    let path = format!("{DEFINITIONS}/widgets.ex.io");
    let ending = cluster.ask(Method::DELETE, &path, &Value::Null).await;
    assert_eq!(
        condition(&ending, "Terminating")["reason"],
        "InstanceDeletionPending",
        "{ending}"
    );
    let gone = until(&cluster, &format!("{WIDGETS}/b"), |w| w["code"] == 404).await;
    assert_eq!(gone["message"], "widgets.ex.io \"b\" not found");
    until(&cluster, &format!("{WIDGETS}/a"), |w| {
        w["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    let refused = cluster
        .ask(Method::POST, WIDGETS, &widget("c", &json!({})))
        .await;
    assert_eq!(
        (&refused["code"], &refused["message"]),
        (
            &json!(405),
            &json!("create not allowed while custom resource definition is terminating")
        )
    );
    let free = json!({ "metadata": { "finalizers": null } });
    cluster
        .ask(Method::PATCH, &format!("{WIDGETS}/a"), &free)
        .await;
    until(&cluster, &path, |d| d["code"] == 404).await;
    until(&cluster, "/apis/ex.io/v1", |d| !d["resources"].is_array()).await;
    let left = cluster.store.count(b"/registry/ex.io/").await.unwrap();
    assert_eq!(left, 0, "nothing stays behind in the store");
}

#[tokio::test]
async fn what_is_created_while_its_definition_ends_is_deleted_too() {
    let cluster = with_widgets().await;
    let mut held = widget("a", &json!({}));
    held["metadata"]["finalizers"] = json!(["ex.io/wait"]);
    cluster.ask(Method::POST, WIDGETS, &held).await;
    let path = format!("{DEFINITIONS}/widgets.ex.io");
    cluster.ask(Method::DELETE, &path, &Value::Null).await;
    until(&cluster, &format!("{WIDGETS}/a"), |w| {
        w["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    // As a create does that had been let pass before.
    let key = b"/registry/ex.io/widgets/g/late";
    let mut late = widget("late", &json!({}));
    late["metadata"]["namespace"] = "g".into();
    let late = store::Value::plain(late.to_string());
    let put = cluster.store.put(key, late, Expect::Absent).await;
    put.unwrap();
    let is_there = async || cluster.store.get(key).await.unwrap().is_some();
    let mut left = 200;
    while left > 0 && is_there().await {
        tokio::time::sleep(Duration::from_millis(100)).await;
        left -= 1;
    }
    assert!(!is_there().await);
}

#[tokio::test]
async fn a_watch_ends_with_its_definition() {
    let cluster = with_widgets().await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({})))
        .await;
    let path = format!("{WIDGETS}?watch=1&timeoutSeconds=60");
    let request = Request::get(path).body(Vec::new()).unwrap();
    let client = cluster.client();
    let watch = tokio::spawn(async move { client.request_text(request).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!watch.is_finished());
    cluster
        .ask(
            Method::DELETE,
            &format!("{DEFINITIONS}/widgets.ex.io"),
            &Value::Null,
        )
        .await;
    let ended = tokio::time::timeout(Duration::from_secs(20), watch).await;
    let text = ended.expect("the watch ends").unwrap().unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "DELETED", "the object's end is still told");
}

#[tokio::test]
async fn a_name_that_another_definition_has_is_refused() {
    let cluster = with_widgets().await;
    let mut other = definition(&json!([version("v1", true, &spec())]));
    other["metadata"]["name"] = "gadgets.ex.io".into();
    other["spec"]["names"] = json!({ "plural": "gadgets", "kind": "Widget", "listKind": "GadgetList", "singular": "gadget" });
    cluster.ask(Method::POST, DEFINITIONS, &other).await;
    let path = format!("{DEFINITIONS}/gadgets.ex.io");
    let refused = until(&cluster, &path, |d| {
        condition(d, "NamesAccepted")["status"] == "False"
    })
    .await;
    assert_eq!(
        condition(&refused, "NamesAccepted")["reason"],
        "KindConflict"
    );
    assert_eq!(
        condition(&refused, "NamesAccepted")["message"],
        "\"Widget\" is already in use"
    );
    assert_eq!(condition(&refused, "Established")["reason"], "NotAccepted");
    cluster
        .ask(
            Method::DELETE,
            &format!("{DEFINITIONS}/widgets.ex.io"),
            &Value::Null,
        )
        .await;
    until(&cluster, &path, |d| {
        condition(d, "Established")["status"] == "True"
    })
    .await;
}

#[tokio::test]
async fn what_was_defined_is_served_after_a_restart() {
    let cluster = with_widgets().await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 1 })))
        .await;
    let dir = cluster.stop().await;
    let cluster = Cluster::start_in(dir, 0).await.unwrap();
    let one = cluster.get(&format!("{WIDGETS}/a")).await;
    assert_eq!(one["spec"]["color"], "red", "{one}");
}

#[tokio::test]
async fn a_rule_in_cel_judges_changes() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let mut spec = spec();
    spec["x-kubernetes-validations"] =
        json!([{ "rule": "self.size >= oldSelf.size", "message": "never smaller" }]);
    establish(&cluster, &definition(&json!([version("v1", true, &spec)]))).await;
    cluster
        .ask(Method::POST, WIDGETS, &widget("a", &json!({ "size": 3 })))
        .await;
    let smaller = json!({ "spec": { "size": 2 } });
    let refused = cluster
        .ask(Method::PATCH, &format!("{WIDGETS}/a"), &smaller)
        .await;
    assert_eq!(
        refused["message"],
        "Widget.ex.io \"a\" is invalid: spec: Invalid value: \"object\": never smaller"
    );
}
