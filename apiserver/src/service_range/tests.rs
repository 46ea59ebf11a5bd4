use serde_json::json;
use store::{Log, Options};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::repair::Suspects;
use super::*;

/// A store, and as many servers' views of it as wanted.
struct Fixture {
    store: Arc<dyn Store>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Log::open(dir.path(), Options::default()).unwrap();
        Self { store, _dir: dir }
    }

    async fn server(&self) -> Services {
        let source = Source {
            store: self.store.clone(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let range = "10.0.0.0/29".parse().unwrap();
        Services::load(range, 30000..=30001, &source).await.unwrap()
    }

    async fn store_service(&self, service: &Value) {
        let key = keys::object("services", Some("default"), meta::name(service));
        let value = store::Value::plain(service.to_string());
        self.store.put(&key, value, Expect::Any).await.unwrap();
    }
}

fn service(uid: &str) -> Value {
    json!({ "metadata": { "namespace": "default", "name": uid, "uid": uid } })
}

fn service_with(uid: &str, address: &str, ports: &[u16]) -> Value {
    let mut service = service(uid);
    let ports: Vec<Value> = ports
        .iter()
        .map(|port| json!({ "nodePort": port }))
        .collect();
    service["spec"] = json!({ "clusterIP": address, "ports": ports });
    service
}

fn is_taken(outcome: Result<(), Refusal>) -> bool {
    matches!(outcome, Err(Refusal::Taken))
}

#[tokio::test]
async fn every_address_but_the_ends_is_given_once_by_all_servers_together() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.server().await, fixture.server().await);
    let mut held = [a.hold(&service("a"), false), b.hold(&service("b"), false)];
    let mut given = Vec::new();
    for at in 0..6 {
        given.push(held[at % 2].any_address().await.unwrap());
    }
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 6);
    for held in &mut held {
        let refused = held.any_address().await.unwrap_err();
        assert!(matches!(refused, Refusal::Exhausted), "{refused:?}");
    }
}

#[tokio::test]
async fn what_is_given_back_is_free_at_once_on_every_server() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.server().await, fixture.server().await);
    let mut held = a.hold(&service("a"), false);
    for _ in 0..2 {
        held.any_port().await.unwrap();
    }
    assert!(is_taken(
        b.hold(&service("b"), false).take_port(30000).await
    ));
    held.give_back().await;
    let mut held = b.hold(&service("b"), false);
    for _ in 0..2 {
        held.any_port().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_dropped_stays_claimed_for_its_write_may_be_under_way() {
    let fixture = Fixture::new();
    let server = fixture.server().await;
    let mut held = server.hold(&service("a"), false);
    held.take_port(30000).await.unwrap();
    drop(held);
    assert!(is_taken(
        server.hold(&service("b"), false).take_port(30000).await
    ));
}

#[tokio::test]
async fn a_dry_run_claims_nothing() {
    let fixture = Fixture::new();
    let server = fixture.server().await;
    let mut dry = server.hold(&service("a"), true);
    dry.any_address().await.unwrap();
    dry.take_port(30000).await.unwrap();
    assert!(is_taken(dry.take_port(30000).await), "twice in one Service");
    let page = fixture.store.range(Range::prefix("/")).await.unwrap();
    assert!(page.entries.is_empty());
    let mut held = server.hold(&service("b"), false);
    held.take_port(30000).await.unwrap();
    assert!(is_taken(
        server.hold(&service("c"), true).take_port(30000).await
    ));
}

#[tokio::test]
async fn a_changed_service_gives_back_only_what_it_gave_up() {
    let fixture = Fixture::new();
    let old = service_with("a", "10.0.0.3", &[30000, 30001]);
    let new = service_with("a", "10.0.0.3", &[30001]);
    fixture.store_service(&old).await;
    let server = fixture.server().await;
    server.release(&old, &new).await;
    let mut held = server.hold(&service("b"), false);
    assert!(is_taken(
        held.take_address("10.0.0.3".parse().unwrap()).await
    ));
    assert!(is_taken(held.take_port(30001).await));
    held.take_port(30000).await.unwrap();
}

#[tokio::test]
async fn nobody_gives_back_what_another_service_has_by_now() {
    let fixture = Fixture::new();
    let gone = service_with("gone", "10.0.0.3", &[]);
    let server = fixture.server().await;
    let mut held = server.hold(&service("b"), false);
    held.take_address("10.0.0.3".parse().unwrap())
        .await
        .unwrap();
    server.release(&gone, &Value::Null).await;
    let mut held = server.hold(&service("c"), false);
    assert!(is_taken(
        held.take_address("10.0.0.3".parse().unwrap()).await
    ));
}

#[tokio::test]
async fn services_stored_without_claims_get_them_at_the_start() {
    let fixture = Fixture::new();
    fixture
        .store_service(&service_with("a", "10.0.0.3", &[30000]))
        .await;
    let server = fixture.server().await;
    let mut held = server.hold(&service("b"), false);
    assert!(is_taken(
        held.take_address("10.0.0.3".parse().unwrap()).await
    ));
    assert!(is_taken(held.take_port(30000).await));
}

#[tokio::test]
async fn a_claim_without_a_service_goes_at_the_second_look() {
    let fixture = Fixture::new();
    let server = fixture.server().await;
    let mut used = server.hold(&service("used"), false);
    used.take_port(30000).await.unwrap();
    let mut lost = server.hold(&service("lost"), false);
    lost.take_port(30001).await.unwrap();
    drop(lost);
    let mut suspects = Suspects::default();
    server.repair(&mut suspects).await.unwrap();
    fixture
        .store_service(&service_with("used", "None", &[30000]))
        .await;
    assert!(is_taken(
        server.hold(&service("b"), false).take_port(30001).await
    ));
    server.repair(&mut suspects).await.unwrap();
    let mut held = server.hold(&service("b"), false);
    held.take_port(30001).await.unwrap();
    assert!(is_taken(held.take_port(30000).await));
}

#[tokio::test]
async fn an_address_that_somebody_reserved_is_left_alone() {
    let fixture = Fixture::new();
    let key = keys::object("ipaddresses", None, "10.0.0.5");
    let made = json!({ "metadata": { "name": "10.0.0.5" }, "spec": {} });
    let value = store::Value::plain(made.to_string());
    fixture.store.put(&key, value, Expect::Any).await.unwrap();
    let server = fixture.server().await;
    let mut suspects = Suspects::default();
    for _ in 0..3 {
        server.repair(&mut suspects).await.unwrap();
    }
    let mut held = server.hold(&service("b"), false);
    assert!(is_taken(
        held.take_address("10.0.0.5".parse().unwrap()).await
    ));
}
