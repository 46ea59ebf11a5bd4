//! HorizontalPodAutoscalers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::deployments::deployment;
use crate::world::World;

const SCALERS: &str = "/apis/autoscaling/v2/namespaces/t/horizontalpodautoscalers";
const WEB: &str = "/apis/autoscaling/v2/namespaces/t/horizontalpodautoscalers/web";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/t/deployments";

async fn start() -> World {
    World::start_with(|config| config.autoscaler_period = Duration::from_millis(100)).await
}

fn scaler(least: u32, most: u32, target: &str) -> Value {
    json!({ "metadata": { "name": "web" }, "spec": {
        "minReplicas": least, "maxReplicas": most,
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target } } })
}

impl World {
    async fn until_scaler(&self, type_: &str, reason: &str) -> Value {
        self.until(&format!("{type_} {reason}"), async || {
            let scaler = self.find(WEB).await?;
            let conditions = scaler["status"]["conditions"].as_array()?;
            let is_it = |c: &&Value| c["type"] == type_ && c["reason"] == reason;
            conditions.iter().find(is_it).cloned()
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn autoscaler_without_metrics_says_so_and_leaves_the_target_alone() {
    let world = start().await;
    world.create(DEPLOYMENTS, deployment(2, "app:1")).await;
    world.create(SCALERS, scaler(1, 5, "web")).await;
    let told = world
        .until_scaler("ScalingActive", "FailedGetResourceMetric")
        .await;
    assert_eq!(told["status"], "False");
    let why = "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)";
    assert_eq!(
        told["message"],
        format!("the HPA was unable to compute the replica count: {why}")
    );
    let able = world.until_scaler("AbleToScale", "SucceededGetScale").await;
    assert_eq!(able["status"], "True");
    let events = world
        .until_told("web", "FailedComputeMetricsReplicas")
        .await;
    let first = format!(
        "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {why}"
    );
    assert!(
        events.contains(&("FailedComputeMetricsReplicas".into(), first)),
        "{events:?}"
    );
    assert!(
        events.contains(&("FailedGetResourceMetric".into(), why.into())),
        "{events:?}"
    );
    world.until_rolled_out(2, "app:1").await;
    let scaler = world.find(WEB).await.unwrap();
    assert_eq!(scaler["status"]["currentReplicas"], 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn autoscaler_keeps_its_target_within_bounds() {
    let world = start().await;
    world.create(DEPLOYMENTS, deployment(1, "app:1")).await;
    world.create(SCALERS, scaler(3, 4, "web")).await;
    world.until_rolled_out(3, "app:1").await;
    let events = world.until_told("web", "SuccessfulRescale").await;
    let below = "New size: 3; reason: Current number of replicas below Spec.MinReplicas";
    assert!(
        events.contains(&("SuccessfulRescale".into(), below.into())),
        "{events:?}"
    );
    let path = format!("{DEPLOYMENTS}/web");
    world
        .patch(&path, json!({ "spec": { "replicas": 9 } }))
        .await;
    world.until_rolled_out(4, "app:1").await;
    world
        .patch(&path, json!({ "spec": { "replicas": 0 } }))
        .await;
    let told = world.until_scaler("ScalingActive", "ScalingDisabled").await;
    assert_eq!(told["status"], "False");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn autoscaler_without_its_target_is_not_able_to_scale() {
    let world = start().await;
    world.create(SCALERS, scaler(1, 4, "gone")).await;
    let told = world.until_scaler("AbleToScale", "FailedGetScale").await;
    assert_eq!(told["status"], "False");
    let why = "the HPA controller was unable to get the target's current scale: deployments.apps \"gone\" not found";
    assert_eq!(told["message"], why);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_autoscalers_of_the_same_pods_both_refuse() {
    let world = start().await;
    world.create(DEPLOYMENTS, deployment(2, "app:1")).await;
    world.until_rolled_out(2, "app:1").await;
    world.create(SCALERS, scaler(1, 5, "web")).await;
    let mut other = scaler(1, 5, "web");
    other["metadata"]["name"] = "web2".into();
    world.create(SCALERS, other).await;
    let told = world
        .until_scaler("ScalingActive", "AmbiguousSelector")
        .await;
    let why = "pods by selector app=a are controlled by multiple HPAs: [t/web t/web2]";
    assert_eq!(told["message"], why);
    world.stop().await;
}
