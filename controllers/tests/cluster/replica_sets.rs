//! `[sig-apps] ReplicaSet`.

use serde_json::{Value, json};

use crate::world::World;

const SETS: &str = "/apis/apps/v1/namespaces/t/replicasets";
const RS: &str = "/apis/apps/v1/namespaces/t/replicasets/rs";
const PODS: &str = "/api/v1/namespaces/t/pods";

fn replica_set(replicas: u32) -> Value {
    json!({ "metadata": { "name": "rs", "labels": { "test": "rs" } }, "spec": {
        "replicas": replicas,
        "selector": { "matchLabels": { "app": "a" } },
        "template": { "metadata": { "labels": { "app": "a" } }, "spec": {
            "containers": [{ "name": "c", "image": "app:1" }] } } } })
}

fn is_owned(pod: &Value) -> bool {
    let owner = &pod["metadata"]["ownerReferences"][0];
    owner["kind"] == "ReplicaSet" && owner["name"] == "rs" && owner["controller"] == true
}

async fn until_available(world: &World, replicas: u64) -> Value {
    world
        .until(&format!("{replicas} available pods"), async || {
            let set = world.find(RS).await?;
            let status = &set["status"];
            let mut counts = ["replicas", "readyReplicas", "availableReplicas"].iter();
            let is_done = counts.all(|c| status[*c].as_u64().unwrap_or(0) == replicas);
            (is_done && status["observedGeneration"] == set["metadata"]["generation"])
                .then_some(set)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_replicaset_replace_and_patch_tests() {
    let world = World::start().await;
    world.create(SETS, replica_set(1)).await;
    until_available(&world, 1).await;
    let two = |set: &mut Value| set["spec"]["replicas"] = json!(2);
    world.update(RS, two).await;
    assert_eq!(until_available(&world, 2).await["spec"]["replicas"], 2);
    let patch = json!({ "metadata": { "labels": { "test": "patched" } },
        "spec": { "replicas": 3, "template": { "spec": {
            "terminationGracePeriodSeconds": 7,
            "containers": [{ "name": "c", "image": "app:2" }] } } } });
    world.patch(RS, patch).await;
    let set = until_available(&world, 3).await;
    assert_eq!(set["metadata"]["labels"]["test"], "patched");
    let template = &set["spec"]["template"]["spec"];
    assert_eq!(template["terminationGracePeriodSeconds"], 7);
    let images = world.list(PODS).await;
    let images = images.iter().map(|p| &p["spec"]["containers"][0]["image"]);
    // A ReplicaSet does not touch the pods it has.
    assert_eq!(images.filter(|image| *image == "app:2").count(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_replicaset_replicaset_should_have_a_working_scale_subresource() {
    let world = World::start().await;
    world.create(SETS, replica_set(1)).await;
    until_available(&world, 1).await;
    world.scale_is_read_updated_and_patched(RS).await;
    until_available(&world, 4).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_replicaset_should_adopt_matching_pods_on_creation_and_release_no_longer_matching_pods()
 {
    let world = World::start().await;
    let orphan = json!({ "metadata": { "name": "orphan", "labels": { "app": "a" } },
        "spec": { "containers": [{ "name": "c", "image": "app:1" }] } });
    world.create(PODS, orphan).await;
    world.create(SETS, replica_set(1)).await;
    let path = format!("{PODS}/orphan");
    let adopted = async || world.find(&path).await.filter(is_owned);
    world.until("the adoption", adopted).await;
    until_available(&world, 1).await;
    assert_eq!(world.list(PODS).await.len(), 1);
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
async fn sig_apps_replicaset_should_list_and_delete_a_collection_of_replicasets() {
    let world = World::start().await;
    for name in ["rs", "rs2"] {
        let mut set = replica_set(2);
        set["metadata"]["name"] = name.into();
        set["spec"]["selector"]["matchLabels"]["app"] = name.into();
        set["spec"]["template"]["metadata"]["labels"]["app"] = name.into();
        world.create(SETS, set).await;
    }
    until_available(&world, 2).await;
    let selected = "labelSelector=test%3Drs";
    let everywhere = format!("/apis/apps/v1/replicasets?{selected}");
    assert_eq!(world.list(&everywhere).await.len(), 2);
    world
        .delete(&format!("{SETS}?{selected}"), "Background")
        .await;
    world
        .until("the end of sets and pods", async || {
            let left = [world.list(SETS).await, world.list(PODS).await];
            left.iter().all(Vec::is_empty).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_replicaset_should_validate_replicaset_status_endpoints() {
    let world = World::start().await;
    world.create(SETS, replica_set(1)).await;
    until_available(&world, 1).await;
    world.status_is_read_updated_and_patched(RS).await;
    world.stop().await;
}
