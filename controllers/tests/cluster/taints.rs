//! `[sig-node] NoExecuteTaintManager`: pods leave tainted nodes in time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::World;

const PODS: &str = "/api/v1/namespaces/t/pods";
const NODE: &str = "/api/v1/nodes/n1";

impl World {
    /// A pod that runs on the only node, and tolerates its taint for so long.
    async fn make_tolerating(&self, name: &str, seconds: &[u32]) -> Value {
        let tolerations: Value = seconds
            .iter()
            .map(|seconds| {
                json!({ "key": "evict", "operator": "Equal", "value": "yes",
                    "effect": "NoExecute", "tolerationSeconds": seconds })
            })
            .collect();
        let pod = json!({ "metadata": { "name": name }, "spec": { "nodeName": "n1",
            "containers": [{ "name": "c", "image": "app:1" }], "tolerations": tolerations } });
        self.create(PODS, pod).await;
        self.until(&format!("{name} to run"), async || {
            let pod = self.find(&format!("{PODS}/{name}")).await?;
            (pod["status"]["phase"] == "Running").then_some(pod)
        })
        .await
    }

    /// As `kubectl taint` does it: without a time.
    async fn taint(&self) {
        let taint = json!({ "key": "evict", "value": "yes", "effect": "NoExecute" });
        self.patch(NODE, json!({ "spec": { "taints": [taint] } }))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_node_noexecutetaintmanager_multiple_pods_evicts_pods_with_mintolerationseconds() {
    let world = World::start().await;
    world.make_tolerating("short", &[1]).await;
    world.make_tolerating("long", &[3600, 3]).await;
    world.make_tolerating("kept", &[3600]).await;
    let mut watching = world.watch(PODS, "").await;
    let start = Instant::now();
    world.taint().await;
    // No sooner and in this order; how much later is up to the machine.
    for (name, seconds) in [("short", 1), ("long", 3)] {
        let gone = watching.until("DELETED", |_| true).await;
        assert_eq!(gone["metadata"]["name"], name);
        let took = start.elapsed();
        assert!(took >= Duration::from_secs(seconds), "{name}: {took:?}");
    }
    let kept = world.find(&format!("{PODS}/kept")).await.unwrap();
    assert!(kept["metadata"]["deletionTimestamp"].is_null(), "{kept}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_node_noexecutetaintmanager_single_pod_removing_taint_cancels_eviction() {
    const TOLERATED: u32 = 10;
    let world = World::start().await;
    let before = world.make_tolerating("pod", &[TOLERATED]).await;
    // Again where the eviction was not even planned before the taint went.
    let mut told = Vec::new();
    let mut start = Instant::now();
    while told.is_empty() {
        world.taint().await;
        start = Instant::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        world
            .patch(NODE, json!({ "spec": { "taints": null } }))
            .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        told = world.list("/api/v1/namespaces/t/events").await;
        told.retain(|event| event["reason"] == "TaintManagerEviction");
    }
    for event in told {
        assert_eq!(event["message"], "Cancelling deletion of Pod t/pod");
        assert_eq!(event["involvedObject"]["uid"], before["metadata"]["uid"]);
    }
    let end = Duration::from_secs((TOLERATED + 1).into());
    tokio::time::sleep(end.saturating_sub(start.elapsed())).await;
    let after = world.find(&format!("{PODS}/pod")).await.unwrap();
    assert!(after["metadata"]["deletionTimestamp"].is_null(), "{after}");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    world.stop().await;
}
