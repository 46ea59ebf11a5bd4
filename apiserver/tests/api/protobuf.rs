use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use schema::protobuf;
use serde_json::{Value, json};

use crate::cluster::Cluster;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const MAPS: &str = "/api/v1/namespaces/g/configmaps";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// The code, the content type and the body of what is answered.
async fn ask(
    cluster: &Cluster,
    method: Method,
    path: &str,
    accept: &str,
    body: Vec<u8>,
) -> (StatusCode, String, Vec<u8>) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("accept", accept)
        .header("content-type", PROTOBUF)
        .body(kube::client::Body::from(body))
        .unwrap();
    let answer = cluster.client().send(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let content_type = parts.headers["content-type"].to_str().unwrap().to_owned();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, content_type, bytes.to_vec())
}

async fn get(cluster: &Cluster, path: &str, accept: &str) -> (StatusCode, String, Vec<u8>) {
    ask(cluster, Method::GET, path, accept, Vec::new()).await
}

fn map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "k": "v" } })
}

fn read(bytes: &[u8]) -> Value {
    protobuf::read(bytes, ("", "")).unwrap()
}

#[tokio::test]
async fn what_is_created_as_protobuf_is_answered_as_protobuf() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let sent = protobuf::write(&map("a")).unwrap();
    let (code, kind, bytes) = ask(&cluster, Method::POST, MAPS, PROTOBUF, sent).await;
    assert_eq!((code, &*kind), (StatusCode::CREATED, PROTOBUF));
    let shown = cluster.get(&format!("{MAPS}/a")).await;
    assert_eq!(read(&bytes), shown);
    let (code, kind, bytes) = get(&cluster, &format!("{MAPS}/a"), PROTOBUF).await;
    assert_eq!((code, &*kind), (StatusCode::OK, PROTOBUF));
    assert_eq!(read(&bytes), shown);
}

#[tokio::test]
async fn every_built_in_collection_is_listed_as_protobuf() {
    let cluster = Cluster::start().await;
    let mut listed = 0;
    for kind in kinds::all().iter().filter(|kind| kind.prefix().is_some()) {
        let root = if kind.group.is_empty() {
            "/api".to_owned()
        } else {
            format!("/apis/{}", kind.group)
        };
        let path = format!("{root}/{}/{}", kind.version, kind.plural);
        let (code, content_type, bytes) = get(&cluster, &path, PROTOBUF).await;
        assert_eq!((code, &*content_type), (StatusCode::OK, PROTOBUF), "{path}");
        assert!(bytes.starts_with(protobuf::MAGIC), "{path}");
        let named = |text: &str| bytes.windows(text.len()).any(|w| w == text.as_bytes());
        assert!(named(kind.list_kind), "{path}");
        listed += 1;
    }
    assert!(listed > 50, "{listed}");
}

#[tokio::test]
async fn a_watch_is_frames_of_protobuf() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster.ask(Method::POST, MAPS, &map("a")).await;
    let path = format!("{MAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true");
    let accept = format!("{PROTOBUF};stream=watch");
    let (code, kind, bytes) = get(&cluster, &path, &accept).await;
    assert_eq!((code, &*kind), (StatusCode::OK, &*accept));
    let events = frames(&bytes);
    let types: Vec<&str> = events.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(types[0], "ADDED");
    assert_eq!(types.last(), Some(&"BOOKMARK"));
    let added = events.iter().find(|(_, o)| o["metadata"]["name"] == "a");
    assert_eq!(added.unwrap().1, cluster.get(&format!("{MAPS}/a")).await);
    let revision = &events.last().unwrap().1["metadata"]["resourceVersion"];
    assert!(revision.is_string(), "{revision}");
}

/// Type and object of each event: `{ type = 1, object = 2 { raw = 1 } }`.
fn frames(mut bytes: &[u8]) -> Vec<(String, Value)> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        let (frame, rest) = bytes[4..].split_at(length);
        bytes = rest;
        assert_eq!(frame[0], 0x0a);
        let (what, object) = frame[2..].split_at(frame[1].into());
        let at = object.windows(4).position(|w| w == protobuf::MAGIC);
        let what = String::from_utf8(what.to_vec()).unwrap();
        events.push((what, read(&object[at.unwrap()..])));
    }
    events
}

#[tokio::test]
async fn metadata_alone_comes_as_protobuf_of_built_in_kinds() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster.ask(Method::POST, MAPS, &map("a")).await;
    let accept = format!("{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    let (code, kind, bytes) = get(&cluster, &format!("{MAPS}/a"), &accept).await;
    assert_eq!((code, &*kind), (StatusCode::OK, PROTOBUF));
    let has = |part: &[u8]| bytes.windows(part.len()).any(|w| w == part);
    assert!(has(b"PartialObjectMetadata") && has(b"meta.k8s.io/v1"));
    assert!(!has(b"\x0a\x01k\x12\x01v"), "the data");
}

#[tokio::test]
async fn custom_kinds_fall_back_to_json_or_are_not_acceptable() {
    let cluster = Cluster::start().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "things.ex.io" },
        "spec": {
            "group": "ex.io", "scope": "Cluster",
            "names": { "plural": "things", "kind": "Thing" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } } }],
        },
    });
    cluster.ask(Method::POST, DEFINITIONS, &definition).await;
    let path = "/apis/ex.io/v1/things";
    while cluster.get(path).await["kind"] != "ThingList" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let both = format!("{PROTOBUF},application/json");
    let (code, kind, _) = get(&cluster, path, &both).await;
    assert_eq!((code, &*kind), (StatusCode::OK, "application/json"));
    let (code, _, _) = get(&cluster, path, PROTOBUF).await;
    assert_eq!(code, StatusCode::NOT_ACCEPTABLE);
    let read_back = get(&cluster, &format!("{DEFINITIONS}/things.ex.io"), PROTOBUF)
        .await
        .2;
    let shown = cluster.get(&format!("{DEFINITIONS}/things.ex.io")).await;
    assert_eq!(read(&read_back)["spec"], shown["spec"]);
}

#[tokio::test]
async fn discovery_is_protobuf_and_the_version_is_json_for_who_takes_only_protobuf() {
    let cluster = Cluster::start().await;
    for path in ["/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1"] {
        let (code, kind, bytes) = get(&cluster, path, PROTOBUF).await;
        assert_eq!((code, &*kind), (StatusCode::OK, PROTOBUF), "{path}");
        let mut shown = cluster.get(path).await;
        shown["apiVersion"] = "v1".into();
        assert_eq!(read(&bytes)["kind"], shown["kind"], "{path}");
        assert_eq!(
            read(&bytes)["resources"],
            without_false(&shown["resources"])
        );
    }
    let (code, kind, _) = get(&cluster, "/version", PROTOBUF).await;
    assert_eq!((code, &*kind), (StatusCode::OK, "application/json"));
}

/// What Go holds by value is the same as not there when it is false or empty.
fn without_false(resources: &Value) -> Value {
    let mut resources = resources.clone();
    for resource in resources.as_array_mut().into_iter().flatten() {
        let fields = resource.as_object_mut().unwrap();
        let required = ["name", "singularName", "namespaced", "kind", "verbs"];
        fields.retain(|name, value| {
            required.contains(&name.as_str())
                || !matches!(value, Value::Bool(false)) && *value != ""
        });
    }
    resources
}

#[tokio::test]
async fn refusals_are_protobuf_for_who_takes_that() {
    let cluster = Cluster::start().await;
    let (code, kind, bytes) = get(&cluster, "/api/v1/namespaces/none", PROTOBUF).await;
    assert_eq!((code, &*kind), (StatusCode::NOT_FOUND, PROTOBUF));
    let status = read(&bytes);
    assert_eq!(
        (&status["kind"], &status["code"]),
        (&json!("Status"), &json!(404))
    );
    assert_eq!(status["details"]["name"], "none");
}
