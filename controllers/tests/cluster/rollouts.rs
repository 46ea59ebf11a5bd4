//! `[sig-apps] Deployment`: what the conformance suite does to rollouts.

use serde_json::{Value, json};

use crate::deployments::{DEPLOYMENTS, PODS, SETS, WEB, deployment, revision, with_image};
use crate::world::World;

fn image(set: &Value) -> &str {
    set["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
}

impl World {
    /// Waits until the sets of these images want so many pods each.
    async fn until_sets_want(&self, wanted: &[(&str, u64)]) {
        self.until(&format!("sets of {wanted:?}"), async || {
            let sets = self.list(SETS).await;
            let is_so = |(of, replicas): &(&str, u64)| {
                let is_it = |s: &Value| image(s) == *of && s["spec"]["replicas"] == *replicas;
                sets.iter().any(is_it)
            };
            (sets.len() == wanted.len() && wanted.iter().all(is_so)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_deployment_deployment_should_have_a_working_scale_subresource() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(1, "app:1")).await;
    world.until_rolled_out(1, "app:1").await;
    world.scale_is_read_updated_and_patched(WEB).await;
    let web = world.until_rolled_out(4, "app:1").await;
    assert_eq!(revision(&web), "1");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_deployment_deployment_should_delete_old_replica_sets() {
    let world = World::start().await;
    let mut unforgetting = deployment(1, "app:1");
    unforgetting["spec"]["revisionHistoryLimit"] = json!(0);
    world.create(DEPLOYMENTS, unforgetting).await;
    world.until_rolled_out(1, "app:1").await;
    world.patch(WEB, with_image("app:2")).await;
    world.until_rolled_out(1, "app:2").await;
    world.until_sets_want(&[("app:2", 1)]).await;
    world.stop().await;
}

/// Of 10 pods, 3 may be too many and 2 too few: of those that never run there
/// are 5 and 8 of the others, and when 30 are wanted, as many more of each as
/// is their share.
#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_deployment_deployment_should_support_proportional_scaling() {
    let world = World::start().await;
    let mut large = deployment(10, "app:1");
    large["spec"]["strategy"] = json!({ "type": "RollingUpdate",
        "rollingUpdate": { "maxSurge": 3, "maxUnavailable": 2 } });
    world.create(DEPLOYMENTS, large).await;
    world.until_rolled_out(10, "app:1").await;
    world.patch(WEB, with_image("lazy:1")).await;
    world.until_sets_want(&[("app:1", 8), ("lazy:1", 5)]).await;
    world
        .until("8 pods to be told available", async || {
            let web = world.find(WEB).await?;
            (web["status"]["availableReplicas"] == 8).then_some(())
        })
        .await;
    world
        .patch(WEB, json!({ "spec": { "replicas": 30 } }))
        .await;
    world
        .until_sets_want(&[("app:1", 20), ("lazy:1", 13)])
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_deployment_deployment_should_support_rollover() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(3, "app:1")).await;
    world.until_rolled_out(3, "app:1").await;
    world.patch(WEB, with_image("lazy:1")).await;
    world.until_sets_want(&[("app:1", 3), ("lazy:1", 1)]).await;
    // The rollout before cannot end; it is rolled over.
    world.patch(WEB, with_image("app:2")).await;
    let web = world.until_rolled_out(3, "app:2").await;
    assert_eq!(revision(&web), "3");
    world
        .until_sets_want(&[("app:1", 0), ("lazy:1", 0), ("app:2", 3)])
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_deployment_should_run_the_lifecycle_of_a_deployment() {
    let world = World::start().await;
    let mut watching = world.watch(DEPLOYMENTS, "labelSelector=life%3Dcycle").await;
    let mut made = deployment(2, "app:1");
    made["metadata"]["labels"] = json!({ "life": "cycle" });
    world.create(DEPLOYMENTS, made).await;
    watching.until("ADDED", |_| true).await;
    watching
        .until("MODIFIED", |web| web["status"]["readyReplicas"] == 2)
        .await;

    let patch = json!({ "metadata": { "labels": { "patched": "yes" } },
        "spec": { "replicas": 1, "template": with_image("app:2")["spec"]["template"] } });
    world.patch(WEB, patch).await;
    let is_patched = |web: &Value| web["metadata"]["labels"]["patched"] == "yes";
    watching.until("MODIFIED", is_patched).await;
    world.until_rolled_out(1, "app:2").await;
    let everywhere = "/apis/apps/v1/deployments?labelSelector=patched%3Dyes";
    let listed = world.list(everywhere).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["spec"]["replicas"], 1);

    let status = json!({ "metadata": { "annotations": { "status": "patched" } } });
    world.patch(&format!("{WEB}/status"), status).await;
    let read = world.find(&format!("{WEB}/status")).await.unwrap();
    assert_eq!(read["status"]["readyReplicas"], 1, "{read}");
    let three = |web: &mut Value| web["spec"]["replicas"] = json!(3);
    world.update(WEB, three).await;
    world.until_rolled_out(3, "app:2").await;

    let selected = format!("{DEPLOYMENTS}?labelSelector=life%3Dcycle");
    world.delete(&selected, "Background").await;
    watching.until("DELETED", |_| true).await;
    world.until_gone(WEB).await;
    world
        .until("the end of sets and pods", async || {
            let left = [world.list(SETS).await, world.list(PODS).await];
            left.iter().all(Vec::is_empty).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_deployment_should_validate_deployment_status_endpoints() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(1, "app:1")).await;
    world.until_rolled_out(1, "app:1").await;
    world.status_is_read_updated_and_patched(WEB).await;
    world.stop().await;
}
