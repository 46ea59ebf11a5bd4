//! One server goes, or etcd does.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, ResourceExt, WatchEvent, WatchParams};
use tokio::time::timeout;

use crate::pair::{Pair, code, create, get, maps};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn when_one_server_goes_its_watchers_go_on_at_the_other() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let listed = maps(&pair.a.client)
        .list(&ListParams::default())
        .await
        .unwrap();
    let version = listed.metadata.resource_version.unwrap();
    let params = WatchParams::default();
    let mut watch = maps(&pair.a.client)
        .watch(&params, &version)
        .await
        .unwrap()
        .boxed();
    create(&pair.a.client, "first", "").await.unwrap();
    let event = timeout(SOON, watch.try_next()).await.unwrap().unwrap();
    let Some(WatchEvent::Added(first)) = event else {
        panic!("{event:?}");
    };
    drop(watch);
    create(&pair.a.client, "second", "").await.unwrap();
    pair.a.stop().await;
    create(&pair.b.client, "third", "").await.unwrap();
    let version = first.resource_version().unwrap();
    let mut watch = maps(&pair.b.client)
        .watch(&params, &version)
        .await
        .unwrap()
        .boxed();
    for expected in ["second", "third"] {
        let event = timeout(SOON, watch.try_next()).await.unwrap().unwrap();
        let Some(WatchEvent::Added(map)) = event else {
            panic!("{event:?}");
        };
        assert_eq!(map.name_any(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_kubernetes_has_an_endpoint_for_each_server_alive() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let addresses = async || {
        let path = "/api/v1/namespaces/default/endpoints/kubernetes";
        let endpoints = get(&pair.b.client, path).await.unwrap();
        let addresses = endpoints["subsets"][0]["addresses"]
            .as_array()
            .unwrap()
            .clone();
        let ips = addresses
            .iter()
            .map(|a| a["ip"].as_str().unwrap().to_owned());
        ips.collect::<Vec<String>>()
    };
    let reach = async |expected: &[&str]| {
        let reached = async {
            while addresses().await != expected {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(SOON, reached).await.unwrap();
    };
    reach(&["192.0.2.1", "192.0.2.2"]).await;
    pair.a.stop().await;
    reach(&["192.0.2.2"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_etcd_requests_fail_in_time_and_go_on_when_it_is_back() {
    let Some(mut pair) = Pair::start().await else {
        return;
    };
    let listed = maps(&pair.b.client)
        .list(&ListParams::default())
        .await
        .unwrap();
    let version = listed.metadata.resource_version.unwrap();
    let params = WatchParams::default();
    let mut watch = maps(&pair.b.client)
        .watch(&params, &version)
        .await
        .unwrap()
        .boxed();
    pair.etcd.members[0].kill();
    let write = create(&pair.a.client, "m", "");
    let error = timeout(SOON, write).await.unwrap().unwrap_err();
    assert!([503, 504].contains(&code(&error)), "{error}");
    let read = maps(&pair.a.client).get("m").await.unwrap_err();
    assert_eq!(code(&read), 503, "{read}");
    pair.etcd.members[0].start();
    pair.etcd.wait_until_it_answers().await;
    create(&pair.a.client, "after", "").await.unwrap();
    loop {
        let event = timeout(SOON, watch.try_next()).await.unwrap().unwrap();
        match event.expect("the watch goes on") {
            WatchEvent::Added(map) if map.name_any() == "after" => break,
            event => assert!(matches!(event, WatchEvent::Added(_)), "{event:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_etcd_hangs_a_write_is_told_as_timed_out_and_made_at_most_once() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    pair.etcd.members[0].freeze();
    let write = create(&pair.a.client, "m", "");
    let error = timeout(SOON, write).await.unwrap().unwrap_err();
    assert!([503, 504].contains(&code(&error)), "{error}");
    pair.etcd.members[0].thaw();
    pair.etcd.wait_until_it_answers().await;
    let again = create(&pair.b.client, "m", "").await;
    let listed = maps(&pair.a.client)
        .list(&ListParams::default())
        .await
        .unwrap();
    let named = listed.items.iter().filter(|map| map.name_any() == "m");
    assert_eq!(named.count(), 1);
    assert!(again.is_ok() || code(&again.unwrap_err()) == 409);
}
