//! `[sig-apps] Daemon set [Serial]`, and what is not in the conformance suite.

use serde_json::{Value, json};

use crate::world::World;

const SETS: &str = "/apis/apps/v1/namespaces/t/daemonsets";
const DS: &str = "/apis/apps/v1/namespaces/t/daemonsets/ds";
const PODS: &str = "/api/v1/namespaces/t/pods";
const REVISIONS: &str = "/apis/apps/v1/namespaces/t/controllerrevisions";

fn daemon_set() -> Value {
    json!({ "metadata": { "name": "ds" }, "spec": {
        "selector": { "matchLabels": { "app": "a" } },
        "template": { "metadata": { "labels": { "app": "a" } }, "spec": {
            "containers": [{ "name": "c", "image": "app:1" }] } } } })
}

fn with_image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
}

fn image(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap()
}

fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap()
}

impl World {
    /// Waits until exactly these nodes run the image, and the status says so.
    async fn until_daemons_run(&self, nodes: &[&str], image_wanted: &str) -> Vec<Value> {
        self.until(&format!("{image_wanted} on {nodes:?}"), async || {
            let pods = self.list(PODS).await;
            let mut on: Vec<&str> = pods
                .iter()
                .filter_map(|p| p["spec"]["nodeName"].as_str())
                .collect();
            on.sort();
            let set = self.find(DS).await?;
            let status = &set["status"];
            let counts = [
                "desiredNumberScheduled",
                "currentNumberScheduled",
                "numberReady",
            ];
            let more = ["updatedNumberScheduled", "numberAvailable"];
            let mut counts = counts.iter().chain(&more);
            let is_told = status["observedGeneration"] == set["metadata"]["generation"]
                && counts.all(|c| status[*c].as_u64().unwrap_or(0) == nodes.len() as u64);
            let is_so = on == nodes && pods.iter().all(|p| image(p) == image_wanted);
            (is_told && is_so && pods.len() == nodes.len()).then_some(pods)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_daemon_set_should_run_and_stop_simple_daemon() {
    let world = World::start().await;
    world.create(SETS, daemon_set()).await;
    let pods = world.until_daemons_run(&["n1", "n2"], "app:1").await;
    let revisions = world.list(REVISIONS).await;
    let revision = &revisions[0]["metadata"];
    let hash = &revision["labels"]["controller-revision-hash"];
    assert_eq!(revision["name"], format!("ds-{}", hash.as_str().unwrap()));
    assert_eq!(revision["labels"]["app"], "a");
    assert_eq!(
        revision["annotations"],
        json!({ "deprecated.daemonset.template.generation": "1" })
    );
    for pod in &pods {
        assert_eq!(
            pod["metadata"]["labels"],
            json!({ "app": "a", "controller-revision-hash": hash, "pod-template-generation": "1" })
        );
        assert_eq!(pod["metadata"]["generateName"], "ds-");
    }
    let name = pods[0]["metadata"]["name"].as_str().unwrap();
    let note = format!("Created pod: {name}");
    let told = async || {
        let events = world.list("/api/v1/namespaces/t/events").await;
        events.into_iter().find(|e| e["message"] == note)
    };
    let event = world.until("the event", told).await;
    assert_eq!(event["source"]["component"], "daemonset-controller");
    world.delete(&format!("{PODS}/{name}"), "Background").await;
    world.until_gone(&format!("{PODS}/{name}")).await;
    world.until_daemons_run(&["n1", "n2"], "app:1").await;
    world.nodes.register("n3").await;
    world.until_daemons_run(&["n1", "n2", "n3"], "app:1").await;
    world.delete(DS, "Background").await;
    world
        .until("no pods", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_daemon_set_should_run_and_stop_complex_daemon() {
    let world = World::start().await;
    let mut set = daemon_set();
    set["spec"]["template"]["spec"]["nodeSelector"] = json!({ "color": "blue" });
    world.create(SETS, set).await;
    world.until_daemons_run(&[], "app:1").await;
    let paint = async |node: &str, color: Value| {
        let labels = json!({ "metadata": { "labels": { "color": color } } });
        world.patch(&format!("/api/v1/nodes/{node}"), labels).await;
    };
    paint("n1", json!("blue")).await;
    world.until_daemons_run(&["n1"], "app:1").await;
    paint("n1", json!("green")).await;
    world.until_daemons_run(&[], "app:1").await;
    let green = json!({ "spec": {
        "template": { "spec": { "nodeSelector": { "color": "green" } } } } });
    world.patch(DS, green).await;
    world.until_daemons_run(&["n1"], "app:1").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_daemon_set_should_retry_creating_failed_daemon_pods() {
    let world = World::start().await;
    world.create(SETS, daemon_set()).await;
    let pods = world.until_daemons_run(&["n1", "n2"], "app:1").await;
    let path = format!("{PODS}/{}", pods[0]["metadata"]["name"].as_str().unwrap());
    world
        .patch(
            &format!("{path}/status"),
            json!({ "status": { "phase": "Failed" } }),
        )
        .await;
    world.until_gone(&path).await;
    world.until_daemons_run(&["n1", "n2"], "app:1").await;
    let told = async || {
        let events = world.list("/api/v1/namespaces/t/events").await;
        let is_it = |e: &Value| e["reason"] == "FailedDaemonPod";
        events.into_iter().find(is_it)
    };
    let event = world.until("the event", told).await;
    let (name, node) = (&pods[0]["metadata"]["name"], &pods[0]["spec"]["nodeName"]);
    let (name, node) = (name.as_str().unwrap(), node.as_str().unwrap());
    assert_eq!(
        event["message"],
        format!("Found failed daemon pod t/{name} on node {node}, will try to kill it")
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_daemon_set_should_update_pod_when_spec_was_updated_and_update_strategy_is_rollingupdate()
 {
    let world = World::start().await;
    world.nodes.register("n3").await;
    world.create(SETS, daemon_set()).await;
    world.until_daemons_run(&["n1", "n2", "n3"], "app:1").await;
    world.patch(DS, with_image("app:2")).await;
    world
        .until("the rollout, one away at most", async || {
            let pods = world.list(PODS).await;
            let runs = |p: &&Value| {
                p["status"]["phase"] == "Running" && p["metadata"]["deletionTimestamp"].is_null()
            };
            let running = pods.iter().filter(runs).count();
            assert!(running >= 2, "only {running} pods run");
            (running == 3 && pods.iter().all(|p| image(p) == "app:2")).then_some(())
        })
        .await;
    let pods = world.until_daemons_run(&["n1", "n2", "n3"], "app:2").await;
    assert_eq!(
        pods[0]["metadata"]["labels"]["pod-template-generation"],
        "2"
    );
    let mut numbers: Vec<u64> = world
        .list(REVISIONS)
        .await
        .iter()
        .filter_map(|r| r["revision"].as_u64())
        .collect();
    numbers.sort();
    assert_eq!(numbers, [1, 2]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_daemon_set_should_rollback_without_unnecessary_restarts() {
    let world = World::start().await;
    world.create(SETS, daemon_set()).await;
    let before = world.until_daemons_run(&["n1", "n2"], "app:1").await;
    // The fake kubelet says of no pod of this image that it runs.
    world.patch(DS, with_image("lazy:1")).await;
    let stuck = async || {
        let pods = world.list(PODS).await;
        let is_stuck = |p: &&Value| image(p) == "lazy:1" && p["spec"]["nodeName"].is_string();
        pods.iter().find(is_stuck).cloned()
    };
    let replaced = world.until("one new pod on its node", stuck).await;
    world.patch(DS, with_image("app:1")).await;
    let after = world.until_daemons_run(&["n1", "n2"], "app:1").await;
    let kept: Vec<&str> = before
        .iter()
        .filter(|p| p["spec"]["nodeName"] != replaced["spec"]["nodeName"])
        .map(uid)
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(after.iter().any(|p| uid(p) == kept[0]));
    let revisions = world.list(REVISIONS).await;
    let mut numbers: Vec<u64> = revisions
        .iter()
        .filter_map(|r| r["revision"].as_u64())
        .collect();
    numbers.sort();
    assert_eq!(numbers, [2, 3]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_daemon_set_should_list_and_delete_a_collection_of_daemonsets() {
    let world = World::start().await;
    let mut set = daemon_set();
    set["metadata"]["labels"] = json!({ "test": "ds" });
    world.create(SETS, set).await;
    world.until_daemons_run(&["n1", "n2"], "app:1").await;
    let by_label = "/apis/apps/v1/daemonsets?labelSelector=test%3Dds";
    assert_eq!(world.list(by_label).await.len(), 1);
    world
        .delete(&format!("{SETS}?labelSelector=test%3Dds"), "Background")
        .await;
    world.until_gone(DS).await;
    let nothing = async || {
        let left = [world.list(PODS).await, world.list(REVISIONS).await];
        left.iter().all(Vec::is_empty).then_some(())
    };
    world.until("nothing to be left", nothing).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_daemon_set_should_verify_changes_to_a_daemon_set_status() {
    let world = World::start().await;
    world.create(SETS, daemon_set()).await;
    world.until_daemons_run(&["n1", "n2"], "app:1").await;
    world.status_is_read_updated_and_patched(DS).await;
    world.nodes.register("n3").await;
    world.until_daemons_run(&["n1", "n2", "n3"], "app:1").await;
    let set = world.find(DS).await.unwrap();
    assert_eq!(set["status"]["conditions"][0]["type"], "StatusPatched");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn surging_daemon_set_never_has_a_node_without_a_ready_pod() {
    let world = World::start().await;
    let mut set = daemon_set();
    set["spec"]["updateStrategy"] = json!({ "type": "RollingUpdate",
        "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
    world.create(SETS, set).await;
    world.until_daemons_run(&["n1", "n2"], "app:1").await;
    world.patch(DS, with_image("app:2")).await;
    world
        .until("the rollout, none away", async || {
            let pods = world.list(PODS).await;
            for node in ["n1", "n2"] {
                let runs = |p: &&Value| {
                    p["spec"]["nodeName"] == node
                        && p["status"]["phase"] == "Running"
                        && p["metadata"]["deletionTimestamp"].is_null()
                };
                assert!(pods.iter().any(|p| runs(&p)), "no pod on {node}");
            }
            (pods.len() == 2 && pods.iter().all(|p| image(p) == "app:2")).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taints_drive_daemons_out_or_only_keep_them_away() {
    let world = World::start().await;
    world.create(SETS, daemon_set()).await;
    world.until_daemons_run(&["n1", "n2"], "app:1").await;
    let taint = async |node: &str, effect: &str| {
        let taints = json!({ "spec": { "taints": [{ "key": "x", "effect": effect }] } });
        world.patch(&format!("/api/v1/nodes/{node}"), taints).await;
    };
    taint("n1", "NoSchedule").await;
    let misplaced = async || {
        let status = world.find(DS).await?["status"].clone();
        (status["numberMisscheduled"] == 1 && status["desiredNumberScheduled"] == 1).then_some(())
    };
    world.until("one pod out of place", misplaced).await;
    assert_eq!(world.list(PODS).await.len(), 2);
    taint("n1", "NoExecute").await;
    world.until_daemons_run(&["n2"], "app:1").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_delete_daemon_set_updates_what_is_deleted() {
    let world = World::start().await;
    let mut set = daemon_set();
    set["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    world.create(SETS, set).await;
    let pods = world.until_daemons_run(&["n1", "n2"], "app:1").await;
    world.patch(DS, with_image("app:2")).await;
    let name = pods[0]["metadata"]["name"].as_str().unwrap();
    let counted = async || {
        let set = world.find(DS).await?;
        let is_seen = set["status"]["observedGeneration"] == set["metadata"]["generation"];
        (is_seen && set["status"]["updatedNumberScheduled"].is_null()).then_some(())
    };
    world
        .until("no pod to be of the new template", counted)
        .await;
    world.delete(&format!("{PODS}/{name}"), "Background").await;
    let mixed = async || {
        let pods = world.list(PODS).await;
        let new = pods.iter().filter(|p| image(p) == "app:2").count();
        (pods.len() == 2 && new == 1).then_some(())
    };
    world.until("one pod of each template", mixed).await;
    world.stop().await;
}
