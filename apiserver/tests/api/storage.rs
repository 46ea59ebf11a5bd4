use http::{Method, Request};
use serde_json::json;
use store::disk::Local;
use store::{Range, Store, backup};

use crate::cluster::{Cluster, ask_as};
use apiserver::User;

const SNAPSHOT: &str = "/skiff/v1/snapshot";

#[tokio::test]
async fn a_snapshot_holds_all_objects_and_is_for_administrators() {
    let cluster = Cluster::start().await;
    cluster.namespace("g").await;
    let request = Request::get(SNAPSHOT).body(kube::client::Body::empty());
    let answer = cluster.client().send(request.unwrap()).await.unwrap();
    let bytes = http_body_util::BodyExt::collect(answer.into_body()).await;
    let file = cluster.dir.path().join("saved");
    std::fs::write(&file, bytes.unwrap().to_bytes()).unwrap();
    let summary = backup::verify(&Local, &file).unwrap();
    // The server goes on to write while it is saved.
    let then = Range::prefix("").at(summary.revision);
    let all = cluster.store.range(then).await.unwrap();
    assert_eq!(summary.keys, all.entries.len() as u64);

    let user = User::new("bob", ["system:authenticated".to_owned()]);
    let refused = ask_as(
        &cluster.server.client_as(user),
        Method::GET,
        SNAPSHOT,
        &json!(null),
    )
    .await;
    assert_eq!(refused["code"], 403, "{refused}");
}

#[tokio::test]
async fn how_full_the_store_is_shows_in_the_metrics() {
    let cluster = Cluster::start().await;
    let metrics = cluster.get("/metrics").await;
    let live = cluster.store.state().unwrap().live;
    let text = metrics.as_str().unwrap();
    assert!(text.contains("\nskiff_store_live_bytes "), "{live}");
    assert!(text.contains("\nskiff_store_alarm_no_space 0\n"));
}
