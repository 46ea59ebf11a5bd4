//! What is done through one server is so for the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, ResourceQuota, ResourceQuotaSpec, Service};
use k8s_openapi::api::networking::v1::IPAddress;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, DeleteParams, ListParams, PostParams, ResourceExt, WatchEvent, WatchParams};
use kube::{Client, Error};
use serde_json::json;
use tokio::time::timeout;

use crate::pair::{NAMESPACE, Pair, code, create, get, map, maps, named, services};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_write_through_one_is_read_listed_and_watched_through_the_other() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let (a, b) = (maps(&pair.a.client), maps(&pair.b.client));
    let from = b.list(&ListParams::default()).await.unwrap();
    let version = from.metadata.resource_version.unwrap();
    let mut watch = b
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    for n in 0..20 {
        let made = create(&pair.a.client, &format!("m{n}"), "x").await.unwrap();
        assert_eq!(b.get(&made.name_any()).await.unwrap(), made);
        assert_eq!(
            b.list(&ListParams::default()).await.unwrap().items.len(),
            n + 1
        );
        let version = made.resource_version().unwrap();
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps?resourceVersion={version}");
        get(&pair.b.client, &path).await.unwrap();
    }
    a.delete("m0", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 21 {
        let event = timeout(SOON, watch.try_next()).await.unwrap().unwrap();
        match event.unwrap() {
            WatchEvent::Added(map) => seen.push(map.name_any()),
            WatchEvent::Deleted(map) => seen.push(format!("-{}", map.name_any())),
            _ => {}
        }
    }
    let expected = (0..20).map(|n| format!("m{n}")).chain(["-m0".to_owned()]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
}

/// Follows what the API tells from a list on.
async fn follow(list: Client, watch: Client, until: &str) -> BTreeMap<String, String> {
    let listed = maps(&list).list(&ListParams::default()).await.unwrap();
    let state = |map: &ConfigMap| (map.name_any(), map.resource_version().unwrap());
    let mut known: BTreeMap<String, String> = listed.items.iter().map(state).collect();
    let version = listed.metadata.resource_version.unwrap();
    let params = WatchParams::default();
    let mut events = maps(&watch).watch(&params, &version).await.unwrap().boxed();
    let mut last: u64 = version.parse().unwrap();
    while !known.contains_key(until) {
        let event = timeout(SOON, events.try_next()).await.unwrap().unwrap();
        let event = event.unwrap();
        let (WatchEvent::Added(map) | WatchEvent::Modified(map) | WatchEvent::Deleted(map)) =
            &event
        else {
            panic!("{event:?}");
        };
        let (name, version) = state(map);
        let number: u64 = version.parse().unwrap();
        assert!(number > last, "{number} after {last}: in order, each once");
        last = number;
        let is_known = known.contains_key(&name);
        match event {
            WatchEvent::Added(_) => assert!(!is_known, "{name} was told already"),
            _ => assert!(is_known, "{name} was never told"),
        }
        if matches!(event, WatchEvent::Deleted(_)) {
            known.remove(&name);
        } else {
            known.insert(name, version);
        }
    }
    known
}

/// Creates, changes and deletes by turns.
async fn busy(client: Client, who: usize) {
    let maps = maps(&client);
    for n in 0..120 {
        let name = format!("w{who}-{}", n % 10);
        let done = match n % 3 {
            0 => create(&client, &name, &n.to_string()).await.map(drop),
            1 => {
                let params = PostParams::default();
                maps.replace(&name, &params, &map(&name, &n.to_string()))
                    .await
                    .map(drop)
            }
            _ => maps.delete(&name, &DeleteParams::default()).await.map(drop),
        };
        if let Err(error) = done {
            assert!([404, 409].contains(&code(&error)), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_one_goes_on_as_a_watch_of_the_other_without_gap_or_double() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let [a, b] = pair.clients().map(Clone::clone);
    let writers = (0..4).map(|who| {
        let client = if who % 2 == 0 { a.clone() } else { b.clone() };
        tokio::spawn(busy(client, who))
    });
    let writers: Vec<_> = writers.collect();
    let mut followers = Vec::new();
    for n in 0..12 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let (list, watch) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let follower = follow(list.clone(), watch.clone(), "end");
        followers.push(tokio::spawn(follower));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    create(&a, "end", "").await.unwrap();
    let listed = maps(&b).list(&ListParams::default()).await.unwrap();
    let there = listed.items.iter();
    let there: BTreeMap<_, _> = there
        .map(|map| (map.name_any(), map.resource_version().unwrap()))
        .collect();
    for follower in followers {
        assert_eq!(follower.await.unwrap(), there);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_creates_of_one_name_one_wins() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    for n in 0..40 {
        let name = format!("m{n}");
        let [a, b] = pair.clients();
        let (a, b) = tokio::join!(create(a, &name, "a"), create(b, &name, "b"));
        let (won, lost) = match (a, b) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("{both:?}"),
        };
        assert_eq!(code(&lost), 409);
        assert_eq!(maps(&pair.a.client).get(&name).await.unwrap(), won);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_of_one_version_one_wins() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let mut last = create(&pair.a.client, "m", "0").await.unwrap();
    for n in 1..40 {
        let mut wanted = last.clone();
        wanted.data = map("m", &n.to_string()).data;
        let mut other = last.clone();
        other.data = map("m", &format!("-{n}")).data;
        let [a, b] = pair.clients().map(maps);
        let params = PostParams::default();
        let (a, b) = tokio::join!(
            a.replace("m", &params, &wanted),
            b.replace("m", &params, &other)
        );
        last = match (a, b) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => {
                assert_eq!(code(&lost), 409);
                won
            }
            both => panic!("{both:?}"),
        };
    }
}

fn service(name: &str, kind: &str) -> Service {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "type": kind, "ports": [{ "port": 80 }] },
    }))
    .unwrap()
}

async fn create_services(pair: &Pair, count: usize, prefix: &str) -> Vec<Result<Service, Error>> {
    let creates = (0..count).map(|n| {
        let services = services(pair.clients()[n % 2]);
        let service = service(&format!("{prefix}{n}"), "NodePort");
        tokio::spawn(async move { services.create(&PostParams::default(), &service).await })
    });
    let made = join_all(creates).await;
    made.into_iter().map(Result::unwrap).collect()
}

fn ip_of(service: &Service) -> String {
    let spec = service.spec.as_ref().unwrap();
    spec.cluster_ip.clone().unwrap()
}

fn port_of(service: &Service) -> i32 {
    let spec = service.spec.as_ref().unwrap();
    spec.ports.as_ref().unwrap()[0].node_port.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_or_node_port_is_given_twice_and_all_are_given() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    // 40 node ports for 50 Services, created through both at once.
    let made = create_services(&pair, 50, "s").await;
    let (given, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    let given: Vec<Service> = given.into_iter().flatten().collect();
    assert_eq!((given.len(), refused.len()), (40, 10));
    let ips: BTreeSet<String> = given.iter().map(ip_of).collect();
    let ports: BTreeSet<i32> = given.iter().map(port_of).collect();
    assert_eq!((ips.len(), ports.len()), (40, 40));
    // The refused ones left nothing behind: theirs and that of `kubernetes`.
    let addresses: Api<IPAddress> = Api::all(pair.b.client.clone());
    let addresses = addresses.list(&ListParams::default()).await.unwrap();
    assert_eq!(addresses.items.len(), 41);
    // What is deleted through one is free for the other.
    let deletes = given.iter().map(|service| {
        let services = services(&pair.a.client);
        async move {
            services
                .delete(&service.name_any(), &DeleteParams::default())
                .await
        }
    });
    assert!(join_all(deletes).await.iter().all(Result::is_ok));
    let again = create_services(&pair, 40, "t").await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_both_ask_for_by_name_is_given_once() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    for n in 10..30 {
        let creates = pair.clients().map(|client| {
            let mut wanted = service(&format!("s{n}"), "ClusterIP");
            let spec = wanted.spec.as_mut().unwrap();
            spec.cluster_ip = Some(format!("10.96.0.{n}"));
            wanted.metadata.generate_name = wanted.metadata.name.take();
            let services = services(client);
            async move { services.create(&PostParams::default(), &wanted).await }
        });
        let made = join_all(creates).await;
        let refused: Vec<_> = made.iter().filter_map(|made| made.as_ref().err()).collect();
        assert_eq!(refused.len(), 1, "{made:?}");
        assert_eq!(code(refused[0]), 422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_for_creates_through_both() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let quotas: Api<ResourceQuota> = Api::namespaced(pair.a.client.clone(), NAMESPACE);
    let quota = ResourceQuota {
        metadata: named("few"),
        spec: Some(ResourceQuotaSpec {
            hard: Some([("count/secrets".to_owned(), Quantity("10".into()))].into()),
            ..ResourceQuotaSpec::default()
        }),
        ..ResourceQuota::default()
    };
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    // Both have heard of it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let creates = (0..40).map(|n| {
        let client = pair.clients()[n % 2].clone();
        tokio::spawn(async move {
            let secrets = Api::<k8s_openapi::api::core::v1::Secret>::namespaced(client, NAMESPACE);
            let secret = serde_json::from_value(json!({ "metadata": { "name": format!("s{n}") } }));
            secrets
                .create(&PostParams::default(), &secret.unwrap())
                .await
        })
    });
    let made = join_all(creates).await.into_iter().map(Result::unwrap);
    let (made, refused): (Vec<_>, Vec<_>) = made.partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (10, 30));
    for error in refused.into_iter().filter_map(Result::err) {
        assert_eq!(code(&error), 403, "{error}");
    }
}
