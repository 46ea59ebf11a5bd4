//! Preemption by the real scheduler of pods that ReplicaSets keep.

use http::Method;
use serde_json::{Value, json};

use crate::world::World;

const PODS: &str = "/api/v1/namespaces/t/pods";
const SETS: &str = "/apis/apps/v1/namespaces/t/replicasets";
const CLASSES: &str = "/apis/scheduling.k8s.io/v1/priorityclasses";

fn spec(priority: u32, amount: u32) -> Value {
    let amount = json!({ "example.com/fakecpu": amount.to_string() });
    json!({ "priorityClassName": format!("p{priority}"), "containers": [{ "name": "c",
        "image": "app:1", "resources": { "requests": amount, "limits": amount } }] })
}

fn replica_set(priority: u32, amount: u32) -> Value {
    let labels = json!({ "app": format!("p{priority}") });
    json!({ "metadata": { "name": format!("rs{priority}") }, "spec": { "replicas": 1,
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": spec(priority, amount) } } })
}

impl World {
    /// The pod of this priority's set, once it is as wanted.
    async fn until_pod_of(&self, priority: u32, is_it: impl Fn(&Value) -> bool) -> Value {
        let list = format!("{PODS}?labelSelector=app%3Dp{priority}");
        self.until(&format!("the pod of priority {priority}"), async || {
            let mut pods = self.list(&list).await;
            (pods.len() == 1 && is_it(&pods[0])).then(|| pods.remove(0))
        })
        .await
    }
}

/// Of 1000 three sets use 200, 300 and 450; a pod that wants 500 drives out
/// the least important of them, and their sets make them anew.
#[tokio::test(flavor = "multi_thread")]
async fn sig_scheduling_schedulerpreemption_preemptionexecutionpath_runs_replicasets_to_verify_preemption_running_path()
 {
    let world = World::start_scheduled().await;
    world.make_namespace("t").await;
    for priority in 1..=4 {
        let class = json!({ "metadata": { "name": format!("p{priority}") }, "value": priority });
        world.create(CLASSES, class).await;
    }
    let room = json!({ "example.com/fakecpu": "1000" });
    let status = json!({ "status": { "capacity": room, "allocatable": room } });
    let node = "/api/v1/nodes/hn1/status";
    world.patch(node, status).await;
    let runs = |pod: &Value| pod["status"]["phase"] == "Running";
    let mut uids = Vec::new();
    for (priority, amount) in [(1, 200), (2, 300), (3, 450)] {
        world.create(SETS, replica_set(priority, amount)).await;
        let pod = world.until_pod_of(priority, runs).await;
        assert_eq!(pod["spec"]["nodeName"], "hn1");
        uids.push(pod["metadata"]["uid"].clone());
    }
    let urgent = json!({ "metadata": { "name": "urgent" }, "spec": spec(4, 500) });
    let made = world.ask(Method::POST, PODS, urgent).await;
    assert_eq!(made["spec"]["priority"], 4, "{made}");
    world
        .until("the urgent pod to run", async || {
            let pod = world.find(&format!("{PODS}/urgent")).await?;
            (runs(&pod) && pod["spec"]["nodeName"] == "hn1").then_some(())
        })
        .await;
    for (at, priority) in [(0, 1), (1, 2)] {
        let is_anew = |pod: &Value| pod["metadata"]["uid"] != uids[at] && !runs(pod);
        world.until_pod_of(priority, is_anew).await;
    }
    let kept = world.until_pod_of(3, runs).await;
    assert_eq!(kept["metadata"]["uid"], uids[2]);
    for (priority, ready) in [(1, 0), (2, 0), (3, 1)] {
        let path = format!("{SETS}/rs{priority}");
        world
            .until("the sets' counts", async || {
                let status = world.find(&path).await?["status"].clone();
                let is_ready = status["readyReplicas"].as_u64().unwrap_or(0) == ready;
                (status["replicas"] == 1 && is_ready).then_some(())
            })
            .await;
    }
    world.stop().await;
}
