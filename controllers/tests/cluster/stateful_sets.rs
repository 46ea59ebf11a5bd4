//! `[sig-apps] StatefulSet Basic StatefulSet functionality`, and what is not
//! in the conformance suite.

use serde_json::{Value, json};

use crate::world::World;

const SETS: &str = "/apis/apps/v1/namespaces/t/statefulsets";
const SS: &str = "/apis/apps/v1/namespaces/t/statefulsets/ss";
const PODS: &str = "/api/v1/namespaces/t/pods";
const REVISIONS: &str = "/apis/apps/v1/namespaces/t/controllerrevisions";
const CLAIMS: &str = "/api/v1/namespaces/t/persistentvolumeclaims";

fn stateful_set(replicas: u32) -> Value {
    json!({ "metadata": { "name": "ss" }, "spec": {
        "replicas": replicas,
        "serviceName": "svc",
        "selector": { "matchLabels": { "app": "a" } },
        "template": { "metadata": { "labels": { "app": "a" } }, "spec": {
            "containers": [{ "name": "c", "image": "app:1" }] } } } })
}

fn with_claims(replicas: u32, when_deleted: &str, when_scaled: &str) -> Value {
    let mut set = stateful_set(replicas);
    set["spec"]["volumeClaimTemplates"] = json!([{ "metadata": { "name": "data" }, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Mi" } } } }]);
    set["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({ "whenDeleted": when_deleted, "whenScaled": when_scaled });
    set
}

fn with_image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
}

fn image(pod: &Value) -> &str {
    pod["spec"]["containers"][0]["image"].as_str().unwrap()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap()
}

fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(name).collect()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn unready() -> Value {
    json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } })
}

fn ready() -> Value {
    let now = jiff::Timestamp::now();
    json!({ "status": { "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": now }] } })
}

impl World {
    /// Waits until the status tells of just these images, by ordinal, all ready.
    async fn until_pods_run(&self, images: &[&str]) -> Value {
        self.until(&format!("pods of {images:?}"), async || {
            let pods = self.list(PODS).await;
            let wanted = (0..images.len()).map(|n| format!("ss-{n}"));
            let is_so = names(&pods).into_iter().eq(wanted)
                && pods.iter().map(image).eq(images.iter().copied())
                && pods.iter().all(is_ready);
            let set = self.find(SS).await?;
            let status = &set["status"];
            let count = |field: &str| status[field].as_u64().unwrap_or(0);
            let is_told = status["observedGeneration"] == set["metadata"]["generation"]
                && count("replicas") == images.len() as u64
                && count("availableReplicas") == images.len() as u64;
            (is_so && is_told).then_some(set)
        })
        .await
    }

    async fn until_event(&self, reason: &str, message: &str) -> Value {
        self.until(&format!("the event {message}"), async || {
            let events = self.list("/api/v1/namespaces/t/events").await;
            let is_it = |e: &&Value| e["reason"] == reason && e["message"] == message;
            events.iter().find(is_it).cloned()
        })
        .await
    }

    async fn scale_set(&self, replicas: u32) {
        let scale = json!({ "spec": { "replicas": replicas } });
        self.patch(&format!("{SS}/scale"), scale).await;
    }

    async fn set_status(&self, pod: &str, status: Value) {
        self.patch(&format!("{PODS}/{pod}/status"), status).await;
    }

    /// Gives the controllers the time to do what they must not.
    async fn settle(&self) {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
}

/// A pod has the name, the labels and the host of its place, and what is told
/// of it is worded as Kubernetes words it.
#[tokio::test(flavor = "multi_thread")]
async fn stateful_set_gives_each_pod_its_identity() {
    let world = World::start().await;
    world.create(SETS, stateful_set(2)).await;
    let set = world.until_pods_run(&["app:1", "app:1"]).await;
    let revisions = world.list(REVISIONS).await;
    assert_eq!(names(&revisions), ["ss-7f859cdb77"]);
    assert_eq!(revisions[0]["revision"], 1);
    assert_eq!(
        revisions[0]["metadata"]["labels"],
        json!({ "app": "a", "controller.kubernetes.io/hash": "7f859cdb77" })
    );
    let pod = &world.list(PODS).await[1];
    assert_eq!(
        pod["metadata"]["labels"],
        json!({ "app": "a", "apps.kubernetes.io/pod-index": "1",
            "controller-revision-hash": "ss-7f859cdb77",
            "statefulset.kubernetes.io/pod-name": "ss-1" })
    );
    assert_eq!(pod["metadata"]["generateName"], "ss-");
    assert_eq!(
        pod["metadata"]["ownerReferences"][0]["uid"],
        set["metadata"]["uid"]
    );
    assert_eq!(
        (&pod["spec"]["hostname"], &pod["spec"]["subdomain"]),
        (&json!("ss-1"), &json!("svc"))
    );
    for (field, value) in [
        ("currentRevision", json!("ss-7f859cdb77")),
        ("updateRevision", json!("ss-7f859cdb77")),
        ("collisionCount", json!(0)),
        ("currentReplicas", json!(2)),
        ("updatedReplicas", json!(2)),
        ("readyReplicas", json!(2)),
    ] {
        assert_eq!(set["status"][field], value, "{field}");
    }
    let note = "create Pod ss-1 in StatefulSet ss successful";
    let event = world.until_event("SuccessfulCreate", note).await;
    assert_eq!(event["source"]["component"], "statefulset-controller");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_statefulset_basic_statefulset_functionality_statefulsetbasic_scaling_should_happen_in_predictable_order_and_halt_if_any_stateful_pod_is_unhealthy()
 {
    let world = World::start().await;
    world.create(SETS, stateful_set(1)).await;
    world.until_pods_run(&["app:1"]).await;
    world.set_status("ss-0", unready()).await;
    world.scale_set(3).await;
    world.settle().await;
    assert_eq!(names(&world.list(PODS).await), ["ss-0"]);
    world.set_status("ss-0", ready()).await;
    world.until_pods_run(&["app:1"; 3]).await;
    let pods = world.list(PODS).await;
    let created = pods
        .iter()
        .map(|p| p["metadata"]["creationTimestamp"].to_string());
    assert!(created.is_sorted());
    for pod in ["ss-0", "ss-1", "ss-2"] {
        world.set_status(pod, unready()).await;
    }
    world.scale_set(0).await;
    world.settle().await;
    assert_eq!(names(&world.list(PODS).await), ["ss-0", "ss-1", "ss-2"]);
    // The last may go, unhealthy as it is, once those before it are well.
    for pod in ["ss-0", "ss-1"] {
        world.set_status(pod, ready()).await;
    }
    world
        .until("no pods", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    let note = "delete Pod ss-2 in StatefulSet ss successful";
    world.until_event("SuccessfulDelete", note).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_statefulset_basic_statefulset_functionality_statefulsetbasic_burst_scaling_should_run_to_completion_even_with_unhealthy_pods()
 {
    let world = World::start().await;
    let mut set = stateful_set(1);
    set["spec"]["podManagementPolicy"] = "Parallel".into();
    world.create(SETS, set).await;
    world.until_pods_run(&["app:1"]).await;
    world.set_status("ss-0", unready()).await;
    world.scale_set(3).await;
    let three = async || (world.list(PODS).await.len() == 3).then_some(());
    world.until("three pods", three).await;
    world.scale_set(0).await;
    world
        .until("no pods", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_statefulset_basic_statefulset_functionality_statefulsetbasic_should_recreate_evicted_statefulset()
 {
    let world = World::start().await;
    world.create(SETS, stateful_set(1)).await;
    world.until_pods_run(&["app:1"]).await;
    let uid = world.list(PODS).await[0]["metadata"]["uid"].clone();
    let failed = json!({ "status": { "phase": "Failed", "reason": "Evicted" } });
    world.set_status("ss-0", failed).await;
    let anew = async || {
        let pod = world.find(&format!("{PODS}/ss-0")).await?;
        (pod["metadata"]["uid"] != uid && is_ready(&pod)).then_some(())
    };
    world.until("another pod", anew).await;
    let note = "StatefulSet t/ss is recreating failed Pod ss-0";
    world.until_event("RecreatingFailedPod", note).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_statefulset_basic_statefulset_functionality_statefulsetbasic_should_have_a_working_scale_subresource()
 {
    let world = World::start().await;
    world.create(SETS, stateful_set(1)).await;
    world.until_pods_run(&["app:1"]).await;
    world.scale_is_read_updated_and_patched(SS).await;
    world.until_pods_run(&["app:1"; 4]).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_statefulset_basic_statefulset_functionality_statefulsetbasic_should_list_patch_and_delete_a_collection_of_statefulsets()
 {
    let world = World::start().await;
    let mut set = stateful_set(1);
    set["metadata"]["labels"] = json!({ "test": "ss" });
    world.create(SETS, set).await;
    world.until_pods_run(&["app:1"]).await;
    let by_label = "/apis/apps/v1/statefulsets?labelSelector=test%3Dss";
    assert_eq!(names(&world.list(by_label).await), ["ss"]);
    let patch =
        json!({ "metadata": { "labels": { "patched": "yes" } }, "spec": { "replicas": 2 } });
    world.patch(SS, patch).await;
    let set = world.until_pods_run(&["app:1", "app:1"]).await;
    assert_eq!(set["metadata"]["labels"]["patched"], "yes");
    world
        .delete(&format!("{SETS}?labelSelector=test%3Dss"), "Background")
        .await;
    world.until_gone(SS).await;
    world
        .until("no pods", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    let nothing = async || world.list(REVISIONS).await.is_empty().then_some(());
    world.until("no revisions", nothing).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_statefulset_basic_statefulset_functionality_statefulsetbasic_should_perform_rolling_updates_and_roll_backs_of_template_modifications()
 {
    let world = World::start().await;
    world.create(SETS, stateful_set(3)).await;
    let before = world.until_pods_run(&["app:1"; 3]).await["status"].clone();
    world.patch(SS, with_image("app:2")).await;
    world
        .until("the rollout, from the highest down", async || {
            let pods = world.list(PODS).await;
            let missing = 3 - pods
                .iter()
                .filter(|p| is_ready(p) && p["metadata"]["deletionTimestamp"].is_null())
                .count();
            assert!(missing <= 1, "{missing} pods away");
            let images: Vec<&str> = pods.iter().map(image).collect();
            assert!(images.is_sorted(), "{images:?}");
            (images == ["app:2"; 3]).then_some(())
        })
        .await;
    let set = world.until_pods_run(&["app:2"; 3]).await;
    let through = async || {
        let status = world.find(SS).await?["status"].clone();
        (status["currentRevision"] == set["status"]["updateRevision"]).then_some(status)
    };
    let status = world.until("the new revision to be current", through).await;
    assert_ne!(status["currentRevision"], before["currentRevision"]);
    assert_eq!(status["currentReplicas"], 3);
    world.patch(SS, with_image("app:1")).await;
    let set = world.until_pods_run(&["app:1"; 3]).await;
    assert_eq!(set["status"]["updateRevision"], before["currentRevision"]);
    let revisions = world.list(REVISIONS).await;
    let numbers: Vec<(&Value, u64)> = revisions
        .iter()
        .map(|r| (&r["metadata"]["name"], r["revision"].as_u64().unwrap()))
        .collect();
    assert_eq!(numbers.len(), 2, "{numbers:?}");
    assert!(
        numbers.contains(&(&before["currentRevision"], 3)),
        "{numbers:?}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_statefulset_basic_statefulset_functionality_statefulsetbasic_should_perform_canary_updates_and_phased_rolling_updates_of_template_modifications()
 {
    let world = World::start().await;
    world.create(SETS, stateful_set(3)).await;
    world.until_pods_run(&["app:1"; 3]).await;
    let partition = |at: u32| json!({ "spec": { "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": at } } } });
    world.patch(SS, partition(3)).await;
    world.patch(SS, with_image("app:2")).await;
    world.until_pods_run(&["app:1"; 3]).await;
    world.settle().await;
    world.until_pods_run(&["app:1"; 3]).await;
    world.patch(SS, partition(2)).await;
    world.until_pods_run(&["app:1", "app:1", "app:2"]).await;
    for pod in ["ss-0", "ss-2"] {
        let path = format!("{PODS}/{pod}");
        let uid = world.find(&path).await.unwrap()["metadata"]["uid"].clone();
        world.delete(&path, "Background").await;
        let anew = async || {
            let pod = world.find(&path).await?;
            (pod["metadata"]["uid"] != uid).then_some(())
        };
        world.until("another pod", anew).await;
    }
    let set = world.until_pods_run(&["app:1", "app:1", "app:2"]).await;
    assert_eq!(set["status"]["updatedReplicas"], 1);
    assert_eq!(set["status"]["currentReplicas"], 2);
    world.patch(SS, partition(1)).await;
    world.until_pods_run(&["app:1", "app:2", "app:2"]).await;
    world.patch(SS, partition(0)).await;
    world.until_pods_run(&["app:2"; 3]).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_statefulset_basic_statefulset_functionality_statefulsetbasic_should_validate_statefulset_status_endpoints()
 {
    let world = World::start().await;
    world.create(SETS, stateful_set(1)).await;
    world.until_pods_run(&["app:1"]).await;
    world.status_is_read_updated_and_patched(SS).await;
    world.scale_set(2).await;
    let set = world.until_pods_run(&["app:1", "app:1"]).await;
    assert_eq!(set["status"]["conditions"][0]["type"], "StatusPatched");
    world.stop().await;
}

/// Pods are made with the claims of their place, which stay when it goes.
#[tokio::test(flavor = "multi_thread")]
async fn claims_outlive_pods_and_sets_unless_asked_otherwise() {
    let world = World::start().await;
    world.create(SETS, with_claims(2, "Retain", "Retain")).await;
    world.until_pods_run(&["app:1", "app:1"]).await;
    let claims = world.list(CLAIMS).await;
    assert_eq!(names(&claims), ["data-ss-0", "data-ss-1"]);
    assert_eq!(claims[0]["metadata"]["labels"], json!({ "app": "a" }));
    let pod = &world.list(PODS).await[0];
    let volume = json!({ "name": "data", "persistentVolumeClaim": { "claimName": "data-ss-0" } });
    assert!(pod["spec"]["volumes"].as_array().unwrap().contains(&volume));
    let note = "create Claim data-ss-0 Pod ss-0 in StatefulSet ss success";
    world.until_event("SuccessfulCreate", note).await;
    world.scale_set(1).await;
    world.until_pods_run(&["app:1"]).await;
    world.delete(SS, "Background").await;
    world
        .until("no pods", async || {
            world.list(PODS).await.is_empty().then_some(())
        })
        .await;
    assert_eq!(names(&world.list(CLAIMS).await), ["data-ss-0", "data-ss-1"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_go_with_pods_and_sets_where_asked() {
    let world = World::start().await;
    world.create(SETS, with_claims(2, "Delete", "Delete")).await;
    world.until_pods_run(&["app:1", "app:1"]).await;
    let claims = world.list(CLAIMS).await;
    assert_eq!(
        claims[1]["metadata"]["ownerReferences"][0]["kind"],
        "StatefulSet"
    );
    world.scale_set(1).await;
    world.until_pods_run(&["app:1"]).await;
    world.until_gone(&format!("{CLAIMS}/data-ss-1")).await;
    world.scale_set(2).await;
    world.until_pods_run(&["app:1", "app:1"]).await;
    assert_eq!(names(&world.list(CLAIMS).await), ["data-ss-0", "data-ss-1"]);
    world.delete(SS, "Background").await;
    world
        .until("no claims", async || {
            world.list(CLAIMS).await.is_empty().then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_delete_stateful_set_updates_what_is_deleted() {
    let world = World::start().await;
    let mut set = stateful_set(2);
    set["spec"]["updateStrategy"] = json!({ "type": "OnDelete" });
    world.create(SETS, set).await;
    world.until_pods_run(&["app:1", "app:1"]).await;
    world.patch(SS, with_image("app:2")).await;
    world.until_pods_run(&["app:1", "app:1"]).await;
    world.delete(&format!("{PODS}/ss-0"), "Background").await;
    world.until_pods_run(&["app:2", "app:1"]).await;
    world.stop().await;
}

/// Deleted with its pods left, and made again: nothing is made twice.
#[tokio::test(flavor = "multi_thread")]
async fn new_stateful_set_adopts_the_pods_and_revisions_of_one_before() {
    let world = World::start().await;
    world.create(SETS, stateful_set(2)).await;
    world.until_pods_run(&["app:1", "app:1"]).await;
    let uids = async || -> Vec<Value> {
        let pods = world.list(PODS).await;
        pods.iter().map(|p| p["metadata"]["uid"].clone()).collect()
    };
    let before = uids().await;
    world.delete(SS, "Orphan").await;
    world.until_gone(SS).await;
    let set = world.create(SETS, stateful_set(2)).await;
    world.until_pods_run(&["app:1", "app:1"]).await;
    assert_eq!(uids().await, before);
    let revisions = world.list(REVISIONS).await;
    assert_eq!(revisions.len(), 1);
    let owner = &revisions[0]["metadata"]["ownerReferences"][0]["uid"];
    assert_eq!(owner, &set["metadata"]["uid"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_beyond_the_limit_are_forgotten_and_those_in_use_are_not() {
    let world = World::start().await;
    let mut set = stateful_set(1);
    set["spec"]["revisionHistoryLimit"] = 1.into();
    world.create(SETS, set).await;
    world.until_pods_run(&["app:1"]).await;
    for image in ["app:2", "app:3", "app:4"] {
        world.patch(SS, with_image(image)).await;
        world.until_pods_run(&[image]).await;
    }
    let numbers = async || {
        let revisions = world.list(REVISIONS).await;
        let mut numbers: Vec<u64> = revisions
            .iter()
            .filter_map(|r| r["revision"].as_u64())
            .collect();
        numbers.sort();
        (numbers == [3, 4]).then_some(())
    };
    world.until("two revisions", numbers).await;
    world.stop().await;
}
