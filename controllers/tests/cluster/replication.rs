//! ReplicationControllers.

use http::Method;
use serde_json::{Value, json};

use crate::world::World;

const ALL: &str = "/api/v1/namespaces/t/replicationcontrollers";
const RC: &str = "/api/v1/namespaces/t/replicationcontrollers/rc";
const PODS: &str = "/api/v1/namespaces/t/pods";

fn controller(replicas: u32) -> Value {
    json!({ "metadata": { "name": "rc" }, "spec": {
        "replicas": replicas,
        "selector": { "app": "a" },
        "template": { "metadata": { "labels": { "app": "a" } }, "spec": {
            "containers": [{ "name": "c", "image": "app:1" }] } } } })
}

fn is_owned(pod: &Value) -> bool {
    let owner = &pod["metadata"]["ownerReferences"][0];
    owner["kind"] == "ReplicationController" && owner["name"] == "rc" && owner["controller"] == true
}

async fn until_available(world: &World, replicas: u64) -> Value {
    world
        .until(&format!("{replicas} available pods"), async || {
            let rc = world.find(RC).await?;
            let status = &rc["status"];
            let counts = [
                "replicas",
                "fullyLabeledReplicas",
                "readyReplicas",
                "availableReplicas",
            ];
            let is_done = counts
                .iter()
                .all(|c| status[*c].as_u64().unwrap_or(0) == replicas);
            (is_done && status["observedGeneration"] == rc["metadata"]["generation"]).then_some(rc)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn replication_controller_makes_its_pods() {
    let world = World::start().await;
    world.create(ALL, controller(2)).await;
    until_available(&world, 2).await;
    let pods = world.list(PODS).await;
    assert!(pods.len() == 2 && pods.iter().all(is_owned), "{pods:?}");
    assert!(pods.iter().all(|p| p["metadata"]["generateName"] == "rc-"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_replicationcontroller_should_test_the_lifecycle_of_a_replicationcontroller() {
    let world = World::start().await;
    let mut watching = world.watch(ALL, "").await;
    world.create(ALL, controller(1)).await;
    watching
        .until("ADDED", |rc| rc["metadata"]["name"] == "rc")
        .await;
    until_available(&world, 1).await;
    let label = json!({ "metadata": { "labels": { "life": "cycle" } } });
    world.patch(RC, label).await;
    let labelled = "/api/v1/replicationcontrollers?labelSelector=life%3Dcycle";
    assert_eq!(world.list(labelled).await.len(), 1);
    let status = world.find(&format!("{RC}/status")).await.unwrap();
    assert_eq!(status["status"]["readyReplicas"], 1);
    let scale = json!({ "spec": { "replicas": 3 } });
    world.patch(&format!("{RC}/scale"), scale).await;
    until_available(&world, 3).await;
    world.patch(RC, json!({ "spec": { "replicas": 0 } })).await;
    until_available(&world, 0).await;
    world.patch(RC, json!({ "spec": { "replicas": 2 } })).await;
    until_available(&world, 2).await;
    world.delete(RC, "Background").await;
    watching
        .until("DELETED", |rc| rc["metadata"]["name"] == "rc")
        .await;
    world
        .until("the end of the pods", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_replicationcontroller_should_adopt_matching_pods_on_creation() {
    let world = World::start().await;
    let orphan = json!({ "metadata": { "name": "orphan", "labels": { "app": "a" } },
        "spec": { "containers": [{ "name": "c", "image": "app:1" }] } });
    world.create(PODS, orphan).await;
    world.create(ALL, controller(1)).await;
    let path = format!("{PODS}/orphan");
    let adopted = async || world.find(&path).await.filter(is_owned);
    world.until("the adoption", adopted).await;
    until_available(&world, 1).await;
    assert_eq!(world.list(PODS).await.len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_replicationcontroller_should_release_no_longer_matching_pods() {
    let world = World::start().await;
    world.create(ALL, controller(1)).await;
    until_available(&world, 1).await;
    let pod = world.list(PODS).await.remove(0);
    let path = format!("{PODS}/{}", pod["metadata"]["name"].as_str().unwrap());
    let other = json!({ "metadata": { "labels": { "app": "b" } } });
    world.patch(&path, other).await;
    world
        .until("the release and a new pod", async || {
            let released = world.find(&path).await?;
            let owners = released["metadata"]["ownerReferences"].as_array();
            let pods = world.list(PODS).await;
            let owned = pods.iter().filter(|p| is_owned(p)).count();
            (owners.is_none_or(Vec::is_empty) && pods.len() == 2 && owned == 1).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_replicationcontroller_should_surface_a_failure_condition_on_a_common_issue_like_exceeded_quota()
 {
    let world = World::start().await;
    let quota = json!({ "metadata": { "name": "q" }, "spec": { "hard": { "pods": "2" } } });
    world
        .create("/api/v1/namespaces/t/resourcequotas", quota)
        .await;
    world.create(ALL, controller(3)).await;
    let failure = async || {
        let rc = world.find(RC).await?;
        let conditions = rc["status"]["conditions"].as_array().cloned();
        let mut failures = conditions.into_iter().flatten();
        Some(failures.find(|c| c["type"] == "ReplicaFailure"))
    };
    let told = world
        .until("a failure", async || failure().await.flatten())
        .await;
    assert_eq!(
        (&told["status"], &told["reason"]),
        (&json!("True"), &json!("FailedCreate"))
    );
    assert!(
        told["message"].as_str().unwrap().contains("exceeded quota"),
        "{told}"
    );
    world
        .ask(Method::PATCH, RC, json!({ "spec": { "replicas": 2 } }))
        .await;
    world
        .until("no failure", async || {
            failure().await.filter(Option::is_none)
        })
        .await;
    world.stop().await;
}
