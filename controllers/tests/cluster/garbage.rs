use std::time::Duration;

use serde_json::{Value, json};

use crate::deployments::deployment;
use crate::world::World;

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/t/deployments";
const WEB: &str = "/apis/apps/v1/namespaces/t/deployments/web";
const SETS: &str = "/apis/apps/v1/namespaces/t/replicasets";
const PODS: &str = "/api/v1/namespaces/t/pods";
const MAPS: &str = "/api/v1/namespaces/t/configmaps";

fn owned_by(name: &str, owner: &Value, uid: &Value) -> Value {
    json!({ "metadata": { "name": name, "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap",
        "name": owner["metadata"]["name"], "uid": uid, "blockOwnerDeletion": true }] } })
}

async fn map(world: &World, name: &str) -> Value {
    world
        .create(MAPS, json!({ "metadata": { "name": name } }))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_garbage_collector_should_delete_rs_created_by_deployment_when_not_orphaning()
 {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(3, "app:1")).await;
    world.until_rolled_out(3, "app:1").await;
    world.delete(WEB, "Background").await;
    assert!(world.find(WEB).await.is_none());
    world
        .until("no set", async || {
            world.list(SETS).await.is_empty().then_some(())
        })
        .await;
    world
        .until("no pod", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreground_deletion_ends_with_the_owner() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(3, "app:1")).await;
    world.until_rolled_out(3, "app:1").await;
    world.delete(WEB, "Foreground").await;
    world
        .until("the end of all", async || {
            // Read from the owner down: what is seen later is no older.
            let (web, sets) = (world.find(WEB).await, world.list(SETS).await);
            let pods = world.list(PODS).await;
            if web.is_none() {
                assert!(sets.is_empty() && pods.is_empty(), "the owner went first");
            }
            web.is_none().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_garbage_collector_should_orphan_rs_created_by_deployment_when_deleteoptions_propagationpolicy_is_orphan()
 {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(2, "app:1")).await;
    world.until_rolled_out(2, "app:1").await;
    world.delete(WEB, "Orphan").await;
    world.until_gone(WEB).await;
    let sets = world.list(SETS).await;
    assert_eq!(sets.len(), 1);
    assert!(
        sets[0]["metadata"]["ownerReferences"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );
    assert_eq!(world.list(PODS).await.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn object_whose_owner_has_another_uid_is_deleted_and_one_with_a_living_owner_is_not() {
    let world = World::start().await;
    let owner = map(&world, "owner").await;
    let uid = owner["metadata"]["uid"].clone();
    world.create(MAPS, owned_by("kept", &owner, &uid)).await;
    world
        .create(MAPS, owned_by("lost", &owner, &json!("0000")))
        .await;
    world.until_gone(&format!("{MAPS}/lost")).await;
    assert!(world.find(&format!("{MAPS}/kept")).await.is_some());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_in_another_namespace_does_not_keep_an_object() {
    let world = World::start().await;
    world.make_namespace("u").await;
    let elsewhere = "/api/v1/namespaces/u/configmaps";
    let owner = world
        .create(elsewhere, json!({ "metadata": { "name": "owner" } }))
        .await;
    let uid = owner["metadata"]["uid"].clone();
    world.create(MAPS, owned_by("lost", &owner, &uid)).await;
    world.until_gone(&format!("{MAPS}/lost")).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_owners_gone_is_only_taken_off() {
    let world = World::start().await;
    let (a, b) = (map(&world, "a").await, map(&world, "b").await);
    let mut child = owned_by("child", &a, &a["metadata"]["uid"]);
    let other = owned_by("child", &b, &b["metadata"]["uid"]);
    let owners = child["metadata"]["ownerReferences"].as_array_mut().unwrap();
    owners.push(other["metadata"]["ownerReferences"][0].clone());
    world.create(MAPS, child).await;
    world.delete(&format!("{MAPS}/a"), "Background").await;
    world
        .until("one owner", async || {
            let child = world
                .find(&format!("{MAPS}/child"))
                .await
                .expect("it is still owned");
            let owners = child["metadata"]["ownerReferences"].as_array()?.clone();
            (owners.len() == 1 && owners[0]["name"] == "b").then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_own_each_other_in_foreground_both_end() {
    let world = World::start().await;
    let a = map(&world, "a").await;
    let b = world
        .create(MAPS, owned_by("b", &a, &a["metadata"]["uid"]))
        .await;
    let owners = owned_by("a", &b, &b["metadata"]["uid"])["metadata"]["ownerReferences"].clone();
    world
        .patch(
            &format!("{MAPS}/a"),
            json!({ "metadata": { "ownerReferences": owners } }),
        )
        .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.delete(&format!("{MAPS}/a"), "Foreground").await;
    world.until_gone(&format!("{MAPS}/a")).await;
    world.until_gone(&format!("{MAPS}/b")).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_owner_while_nobody_looked_is_collected_later() {
    let world = World::start().await;
    let owner = map(&world, "owner").await;
    world
        .create(MAPS, owned_by("child", &owner, &owner["metadata"]["uid"]))
        .await;
    let world = world
        .without_controllers(async |world| {
            world.delete(&format!("{MAPS}/owner"), "Background").await;
            assert!(world.find(&format!("{MAPS}/child")).await.is_some());
        })
        .await;
    world.until_gone(&format!("{MAPS}/child")).await;
    world.stop().await;
}

const RCS: &str = "/api/v1/namespaces/t/replicationcontrollers";

fn replication(name: &str, replicas: usize) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "replicas": replicas, "selector": { "rc": name },
        "template": { "metadata": { "labels": { "rc": name } }, "spec": {
            "containers": [{ "name": "c", "image": "app:1" }] } } } })
}

impl World {
    async fn make_replication(&self, name: &str, replicas: usize) -> Value {
        let made = self.create(RCS, replication(name, replicas)).await;
        if replicas > 0 {
            self.until_running(replicas).await;
        }
        made
    }

    async fn until_no_pods(&self) {
        self.until("no pod", async || {
            self.list(PODS).await.is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_garbage_collector_should_delete_pods_created_by_rc_when_not_orphaning() {
    let world = World::start().await;
    world.make_replication("rc", 2).await;
    world.delete(&format!("{RCS}/rc"), "Background").await;
    world.until_gone(&format!("{RCS}/rc")).await;
    world.until_no_pods().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_garbage_collector_should_keep_the_rc_around_until_all_its_pods_are_deleted_if_the_deleteoptions_says_so()
 {
    let world = World::start().await;
    world.make_replication("rc", 10).await;
    let path = format!("{RCS}/rc");
    let held = world.list(PODS).await.remove(0);
    let held = format!("{PODS}/{}", held["metadata"]["name"].as_str().unwrap());
    let finalizers = json!({ "metadata": { "finalizers": ["example.com/hold"] } });
    world.patch(&held, finalizers).await;
    world.delete(&path, "Foreground").await;
    let alone = async || (world.list(PODS).await.len() == 1).then_some(());
    world.until("one pod that is held", alone).await;
    let rc = world.find(&path).await.expect("it waits for its last pod");
    assert!(rc["metadata"]["deletionTimestamp"].is_string());
    let released = json!({ "metadata": { "finalizers": null } });
    world.patch(&held, released).await;
    world.until_gone(&path).await;
    assert!(world.list(PODS).await.is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_garbage_collector_should_orphan_pods_created_by_rc_if_delete_options_say_so()
 {
    let world = World::start().await;
    world.make_replication("rc", 10).await;
    world.delete(&format!("{RCS}/rc"), "Orphan").await;
    world.until_gone(&format!("{RCS}/rc")).await;
    // What the collector would do wrong, it would do now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let pods = world.list(PODS).await;
    assert_eq!(pods.len(), 10);
    for pod in pods {
        let owners = pod["metadata"]["ownerReferences"].as_array();
        assert!(owners.is_none_or(Vec::is_empty), "{pod}");
        assert!(pod["metadata"]["deletionTimestamp"].is_null(), "{pod}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_garbage_collector_should_not_delete_dependents_that_have_both_valid_owner_and_owner_that_s_waiting_for_dependents_to_be_deleted()
 {
    let world = World::start().await;
    world.make_replication("ending", 10).await;
    let valid = world.make_replication("valid", 0).await;
    let uid = &valid["metadata"]["uid"];
    let pods = world.list(PODS).await;
    let mut shared = Vec::new();
    for pod in &pods[..5] {
        let mut owners = pod["metadata"]["ownerReferences"].clone();
        let other = json!({ "apiVersion": "v1", "kind": "ReplicationController", "name": "valid", "uid": uid });
        owners.as_array_mut().unwrap().push(other);
        let name = pod["metadata"]["name"].as_str().unwrap();
        let patch = json!({ "metadata": { "ownerReferences": owners } });
        world.patch(&format!("{PODS}/{name}"), patch).await;
        shared.push(name);
    }
    world.delete(&format!("{RCS}/ending"), "Foreground").await;
    world.until_gone(&format!("{RCS}/ending")).await;
    let left = world.list(PODS).await;
    let names: Vec<&str> = left
        .iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .collect();
    assert_eq!(names, shared);
    for pod in &left {
        assert!(pod["metadata"]["deletionTimestamp"].is_null(), "{pod}");
        let owners = pod["metadata"]["ownerReferences"].as_array().unwrap();
        assert!(owners.len() == 1 && owners[0]["uid"] == *uid, "{pod}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_api_machinery_garbage_collector_should_not_be_blocked_by_dependency_circle() {
    let world = World::start().await;
    let mut pods = Vec::new();
    for name in ["pod1", "pod2", "pod3"] {
        let pod = json!({ "metadata": { "name": name },
            "spec": { "containers": [{ "name": "c", "image": "app:1" }] } });
        pods.push(world.create(PODS, pod).await);
    }
    world.until_running(3).await;
    for (pod, owner) in [(0, 2), (1, 0), (2, 1)] {
        let metadata: &Value = &pods[owner]["metadata"];
        let owners = json!([{ "apiVersion": "v1", "kind": "Pod", "name": metadata["name"],
            "uid": metadata["uid"], "controller": true, "blockOwnerDeletion": true }]);
        let name = pods[pod]["metadata"]["name"].as_str().unwrap();
        let patch = json!({ "metadata": { "ownerReferences": owners } });
        world.patch(&format!("{PODS}/{name}"), patch).await;
    }
    world.delete(&format!("{PODS}/pod1"), "Foreground").await;
    world.until_no_pods().await;
    world.stop().await;
}
