use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::deployments::deployment;
use crate::world::World;

const PODS: &str = "/api/v1/namespaces/t/pods";

async fn world_of_short_patience() -> World {
    World::start_with(|config| {
        config.node_monitor_grace_period = Duration::from_secs(4);
        config.lost_node_quarantine = Duration::from_millis(300);
    })
    .await
}

fn taints(node: &Value) -> Vec<(String, String)> {
    let taints = node["spec"]["taints"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    taints
        .iter()
        .map(|t| (text(&t["key"]), text(&t["effect"])))
        .collect()
}

fn ready(object: &Value) -> Value {
    let conditions = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    conditions
        .into_iter()
        .find(|c| c["type"] == "Ready")
        .unwrap_or_default()
}

fn tolerating(seconds: u32) -> Value {
    let mut deployment = deployment(4, "app:1");
    let toleration = |key: &str| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds });
    deployment["spec"]["template"]["spec"]["tolerations"] = json!([
        toleration("node.kubernetes.io/unreachable"),
        toleration("node.kubernetes.io/not-ready")
    ]);
    deployment
}

impl World {
    async fn on_node(&self, node: &str) -> Vec<Value> {
        let pods = self.list(PODS).await;
        pods.into_iter()
            .filter(|p| p["spec"]["nodeName"] == *node)
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_has_a_pod_range_of_its_own() {
    let world = World::start().await;
    let range = async |name: &str| {
        let path = format!("/api/v1/nodes/{name}");
        world
            .until("a pod range", async || {
                let node = world.find(&path).await?;
                let range = node["spec"]["podCIDR"].as_str()?.to_owned();
                assert_eq!(node["spec"]["podCIDRs"], json!([range]));
                Some(range)
            })
            .await
    };
    assert_eq!(range("n1").await, "10.244.0.0/24");
    assert_eq!(range("n2").await, "10.244.1.0/24");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_is_given_its_range_and_freed_of_taints_within_moments() {
    let world = World::start().await;
    let start = Instant::now();
    world.nodes.register("n3").await;
    world
        .until("a node fit for pods", async || {
            let node = world.find("/api/v1/nodes/n3").await?;
            (taints(&node).is_empty() && node["spec"]["podCIDR"].is_string()).then_some(())
        })
        .await;
    let took = start.elapsed();
    println!("a node was fit for pods after {took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_node_is_unknown_and_its_pods_come_back_elsewhere() {
    let world = world_of_short_patience().await;
    world
        .create("/apis/apps/v1/namespaces/t/deployments", tolerating(3))
        .await;
    world.until_rolled_out(4, "app:1").await;
    assert!(!world.on_node("n1").await.is_empty());
    world.nodes.lose("n1");
    let node = world
        .until("the node to be unknown", async || {
            let node = world.find("/api/v1/nodes/n1").await?;
            (ready(&node)["status"] == "Unknown" && taints(&node).len() == 2).then_some(node)
        })
        .await;
    assert_eq!(ready(&node)["reason"], "NodeStatusUnknown");
    assert_eq!(
        ready(&node)["message"],
        "Kubelet stopped posting node status."
    );
    let key = "node.kubernetes.io/unreachable";
    let wanted = ["NoSchedule", "NoExecute"].map(|effect| (key.to_owned(), effect.to_owned()));
    assert_eq!(taints(&node), wanted);
    for pod in world.on_node("n1").await {
        assert_eq!(ready(&pod)["status"], "False");
        assert!(
            pod["metadata"]["deletionTimestamp"].is_null(),
            "evicted too early"
        );
    }
    world
        .until("4 ready pods on the other node", async || {
            let pods = world.on_node("n2").await;
            let count = pods.iter().filter(|p| ready(p)["status"] == "True").count();
            (count == 4).then_some(())
        })
        .await;
    for pod in world.on_node("n1").await {
        assert!(
            pod["metadata"]["deletionTimestamp"].is_string(),
            "it ends when its node is back"
        );
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_that_comes_back_in_time_keeps_its_pods_and_loses_its_taints() {
    let world = world_of_short_patience().await;
    world
        .create("/apis/apps/v1/namespaces/t/deployments", tolerating(300))
        .await;
    world.until_rolled_out(4, "app:1").await;
    let before = world.on_node("n1").await.len();
    world.nodes.lose("n1");
    let is_tainted = async || {
        let node = world.find("/api/v1/nodes/n1").await?;
        (taints(&node).len() == 2).then_some(())
    };
    world.until("the taints", is_tainted).await;
    world.nodes.revive("n1").await;
    world
        .until("no taints", async || {
            let node = world.find("/api/v1/nodes/n1").await?;
            taints(&node).is_empty().then_some(())
        })
        .await;
    let pods = world.on_node("n1").await;
    assert_eq!(pods.len(), before);
    assert!(
        pods.iter()
            .all(|p| p["metadata"]["deletionTimestamp"].is_null())
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_a_removed_node_are_removed() {
    let world = world_of_short_patience().await;
    world
        .create("/apis/apps/v1/namespaces/t/deployments", tolerating(300))
        .await;
    world.until_rolled_out(4, "app:1").await;
    world.nodes.lose("n1");
    world.delete("/api/v1/nodes/n1", "Background").await;
    world
        .until("no pod on the lost node", async || {
            world.on_node("n1").await.is_empty().then_some(())
        })
        .await;
    world.until_rolled_out(4, "app:1").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cordon_is_a_taint() {
    let world = World::start().await;
    let path = "/api/v1/nodes/n2";
    world
        .patch(path, json!({ "spec": { "unschedulable": true } }))
        .await;
    let cordoned = async || {
        let node = world.find(path).await?;
        let taint = (
            "node.kubernetes.io/unschedulable".to_owned(),
            "NoSchedule".to_owned(),
        );
        (taints(&node) == [taint]).then_some(())
    };
    world.until("the taint", cordoned).await;
    world.stop().await;
}
