use super::*;
use serde_json::{Value, json};

fn client() -> Client {
    let silent = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        std::future::pending::<()>().await;
        Ok::<_, std::convert::Infallible>(http::Response::new(kube::client::Body::empty()))
    });
    Client::new(silent, "default")
}

fn pod(node: &str, status: Value) -> Pod {
    let pod = json!({ "metadata": { "name": "p", "namespace": "d", "uid": "u" },
        "spec": { "nodeName": node, "containers": [] }, "status": status });
    serde_json::from_value(pod).unwrap()
}

fn steps(pods: Vec<Pod>) -> Vec<Step> {
    let (config, client) = (
        Config {
            nodes: 10,
            ..Config::default()
        },
        client(),
    );
    let mut runner = Runner::new(&config, &client);
    pods.into_iter().for_each(|pod| runner.see(pod));
    runner.waiting.iter().map(|work| work.step).collect()
}

#[tokio::test]
async fn a_pod_is_started_once_and_only_on_nodes_of_ours() {
    let pending = || json!({ "phase": "Pending" });
    let seen = ["hollow-9", "hollow-9", "hollow-10", "n1", "hollow-x"];
    let seen = seen.map(|node| pod(node, pending()));
    assert_eq!(steps(seen.into()), [Step::Start]);
}

#[tokio::test]
async fn a_pod_that_is_asked_to_end_ends_whatever_it_does() {
    let mut ending = pod("hollow-1", json!({ "phase": "Succeeded" }));
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    ending.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    assert_eq!(steps(vec![ending]), [Step::End]);
    let finished = pod("hollow-1", json!({ "phase": "Failed" }));
    assert!(steps(vec![finished]).is_empty());
}

#[tokio::test]
async fn addresses_that_are_taken_are_not_given_again() {
    let (config, client) = (
        Config {
            nodes: 10,
            ..Config::default()
        },
        client(),
    );
    let mut runner = Runner::new(&config, &client);
    let running = json!({ "phase": "Running", "podIP": "10.128.1.0" });
    runner.see(pod("hollow-1", running));
    assert_eq!(runner.address(), Ipv4Addr::new(10, 128, 1, 1));
}
