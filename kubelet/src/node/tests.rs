use std::collections::BTreeMap;

use super::*;
use crate::config::Tls;
use crate::fake_api::{FakeApi, refusal};

fn keeper(api: &FakeApi) -> Keeper {
    let dir = tempfile::tempdir().unwrap();
    let authority = pki::Authority::load_or_create(dir.path(), "ca", "ca").unwrap();
    let issued = authority.issue(&pki::Request::default()).unwrap();
    let tls = Tls {
        identity: pki::Identity::new(&issued).unwrap(),
        client_ca_pem: authority.cert_pem().to_owned(),
    };
    let config = Config {
        node_name: "n1".into(),
        node_ip: [10, 0, 0, 1].into(),
        data_dir: "/".into(),
        storage_dir: "/s".into(),
        log_dir: "/".into(),
        listen: ([0, 0, 0, 0], 10250).into(),
        tls,
        cluster_dns: vec![],
        cluster_domain: "cluster.local".into(),
        resolv_conf: "/dev/null".into(),
        pod_cidr: None,
        cgroup_root: "/x".into(),
        max_pods: 110,
        images_dir: "/".into(),
        eviction: crate::Eviction::default(),
        image_gc: crate::ImageGc {
            high_threshold: 100,
            low_threshold: 80,
            minimum_age: std::time::Duration::ZERO,
            maximum_age: std::time::Duration::ZERO,
        },
        machine_stop: crate::MachineStop::default(),
        shutdown_grace: crate::ShutdownGrace {
            all: std::time::Duration::ZERO,
            critical: std::time::Duration::ZERO,
        },
        labels: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
        taints: vec![],
        version: "v1".into(),
        allowed_unsafe_sysctls: vec![],
    };
    let (client, machine) = (api.client(), Machine::look());
    Keeper {
        client,
        config,
        machine,
        capacity: Allocatable::default(),
        allocatable: Allocatable::default(),
        pressure: watch::channel(Pressure::default()).1,
        events: NodeEvents::new(&events::Events::new(), "n1"),
    }
}

#[tokio::test]
async fn a_new_node_is_created_with_its_labels_and_is_ready_at_once() {
    let api = FakeApi::new(&[refusal(404)]);
    keeper(&api)
        .register(&CancellationToken::new())
        .await
        .unwrap();
    let lines = [
        "GET /api/v1/nodes/n1",
        "POST /api/v1/nodes",
        "PATCH /api/v1/nodes/n1/status",
    ];
    assert_eq!(api.lines(), lines);
    let asked = api.asked();
    let labels = &asked[1].body["metadata"]["labels"];
    assert_eq!(
        (&labels["kubernetes.io/hostname"], &labels["zone"]),
        (&json!("n1"), &json!("a"))
    );
    let status = &asked[2].body["status"];
    let conditions = status["conditions"].as_array().unwrap();
    assert!(
        conditions
            .iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
    );
    assert_eq!(status["daemonEndpoints"]["kubeletEndpoint"]["Port"], 10250);
    assert_eq!(status["addresses"][0]["address"], "10.0.0.1");
}

#[tokio::test]
async fn a_known_node_keeps_its_object_and_others_labels() {
    let node = json!({"metadata": {"name": "n1", "labels": {"mine": "stays"}}});
    let api = FakeApi::new(&[(200, node)]);
    keeper(&api)
        .register(&CancellationToken::new())
        .await
        .unwrap();
    let lines = [
        "GET /api/v1/nodes/n1",
        "PATCH /api/v1/nodes/n1",
        "PATCH /api/v1/nodes/n1/status",
    ];
    assert_eq!(api.lines(), lines);
    assert_eq!(
        api.asked()[1].body["metadata"]["labels"]["mine"],
        serde_json::Value::Null
    );
}

#[tokio::test]
async fn an_api_server_that_is_not_there_yet_is_waited_for() {
    let api = FakeApi::new(&[refusal(500), refusal(404)]);
    keeper(&api)
        .register(&CancellationToken::new())
        .await
        .unwrap();
    assert_eq!(api.asked().len(), 4);
}

#[tokio::test]
async fn a_node_that_is_refused_stops_the_agent() {
    let (_, mut body) = refusal(500);
    body["code"] = json!(403);
    let api = FakeApi::new(&[(403, body)]);
    let refused = keeper(&api)
        .register(&CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(refused.to_string(), "register node n1");
}
