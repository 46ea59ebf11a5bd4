use futures::StreamExt;
use http::{Method, Request};
use serde_json::{Value, json};

use crate::cluster::Cluster;

const MAPS: &str = "/api/v1/namespaces/g/configmaps";

fn labelled(name: &str, label: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "w": label } } })
}

/// The events of a watch until it ends by itself.
async fn events(cluster: &Cluster, query: &str) -> Vec<(String, Value)> {
    let path = format!("{MAPS}?watch=1&timeoutSeconds=1&{query}");
    let text = cluster
        .client()
        .request_text(Request::get(path).body(Vec::new()).unwrap())
        .await
        .unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|e| (e["type"].as_str().unwrap().to_owned(), e["object"].clone()))
        .collect()
}

fn kinds_of(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[tokio::test]
async fn an_object_that_leaves_a_selector_is_deleted_to_its_watcher() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let start = cluster.get(MAPS).await["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .to_owned();
    cluster.ask(Method::POST, MAPS, &labelled("c", "1")).await;
    cluster
        .ask(
            Method::PATCH,
            &format!("{MAPS}/c"),
            &json!({ "data": { "a": "b" } }),
        )
        .await;
    cluster
        .ask(
            Method::PATCH,
            &format!("{MAPS}/c"),
            &json!({ "metadata": { "labels": { "w": "2" } } }),
        )
        .await;
    let seen = events(
        &cluster,
        &format!("resourceVersion={start}&labelSelector=w%3D1"),
    )
    .await;
    assert_eq!(kinds_of(&seen), ["ADDED", "MODIFIED", "DELETED"]);
    assert_eq!(seen[2].1["metadata"]["labels"]["w"], "1");
    let left = cluster.get(&format!("{MAPS}/c")).await;
    assert_eq!(
        seen[2].1["metadata"]["resourceVersion"],
        left["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn a_watch_from_nothing_starts_with_what_there_is() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster.ask(Method::POST, MAPS, &labelled("c", "1")).await;
    assert_eq!(kinds_of(&events(&cluster, "").await), ["ADDED"]);
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark_that_says_so() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster.ask(Method::POST, MAPS, &labelled("c", "1")).await;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let seen = events(&cluster, query).await;
    assert_eq!(kinds_of(&seen)[..2], ["ADDED", "BOOKMARK"]);
    assert_eq!(
        seen[1].1["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
}

#[tokio::test]
async fn a_quiet_watch_is_told_each_minute_how_far_it_is() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let maps = cluster.config_maps("g");
    let params = kube::api::WatchParams::default();
    let mut watch = Box::pin(maps.watch(&params, "0").await.unwrap());
    cluster.namespace("elsewhere").await;
    let newest = store::Store::revision(&*cluster.store);
    tokio::time::pause();
    for minute in 1..=3 {
        let began = tokio::time::Instant::now();
        let event = watch.next().await.unwrap().unwrap();
        let took = began.elapsed().as_secs();
        assert!((55..=65).contains(&took), "bookmark {minute}: {took} s");
        let kube::api::WatchEvent::Bookmark(mark) = event else {
            panic!("bookmark {minute}: {event:?}");
        };
        let told: u64 = mark.metadata.resource_version.parse().unwrap();
        assert!(told >= newest.0, "bookmark {minute}: {told}, {newest:?}");
    }
}

#[tokio::test]
async fn a_change_reaches_an_open_watch() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let maps = cluster.config_maps("g");
    let mut watch = Box::pin(
        maps.watch(&kube::api::WatchParams::default(), "0")
            .await
            .unwrap(),
    );
    cluster.ask(Method::POST, MAPS, &labelled("c", "1")).await;
    let event = watch.next().await.unwrap().unwrap();
    assert!(
        matches!(event, kube::api::WatchEvent::Added(map) if map.metadata.name.as_deref() == Some("c"))
    );
}

#[tokio::test]
async fn a_compacted_revision_is_gone_by_an_event_after_which_clients_list_again() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    cluster.ask(Method::POST, MAPS, &labelled("c", "1")).await;
    store::Store::compact(&*cluster.store, store::Store::revision(&*cluster.store))
        .await
        .unwrap();
    let gone = cluster
        .get(&format!("{MAPS}?watch=1&resourceVersion=1"))
        .await;
    assert_eq!(
        (
            &gone["type"],
            &gone["object"]["code"],
            &gone["object"]["reason"]
        ),
        (&json!("ERROR"), &json!(410), &json!("Expired"))
    );
}

#[tokio::test]
async fn pages_add_up_to_the_whole_as_it_was_at_the_first() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    for name in ["a", "b", "c", "d", "e"] {
        cluster.ask(Method::POST, MAPS, &labelled(name, "1")).await;
    }
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let page = cluster
            .get(&format!("{MAPS}?limit=2&labelSelector=w&continue={token}"))
            .await;
        names.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|i| i["metadata"]["name"].as_str().unwrap().to_owned()),
        );
        cluster
            .ask(Method::DELETE, &format!("{MAPS}/e"), &Value::Null)
            .await;
        token = page["metadata"]["continue"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[tokio::test]
async fn pages_whose_revision_is_forgotten_go_on_in_what_there_is() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    for name in ["a", "b", "c"] {
        cluster.ask(Method::POST, MAPS, &labelled(name, "1")).await;
    }
    let page = |token: String| {
        let path = format!("{MAPS}?limit=2&continue={token}");
        let cluster = &cluster;
        async move { cluster.get(&path).await }
    };
    let token = |answer: &Value| answer["metadata"]["continue"].as_str().unwrap().to_owned();
    let first = page(String::new()).await;
    cluster.ask(Method::POST, MAPS, &labelled("d", "1")).await;
    store::Store::compact(&*cluster.store, store::Store::revision(&*cluster.store))
        .await
        .unwrap();
    let expired = page(token(&first)).await;
    assert_eq!(expired["reason"], "Expired", "{expired}");
    let rest = page(token(&expired)).await;
    let names = rest["items"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|map| &map["metadata"]["name"]).collect();
    assert_eq!(names, ["c", "d"]);
}
