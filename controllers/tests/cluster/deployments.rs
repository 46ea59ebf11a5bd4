use serde_json::{Value, json};

use crate::world::World;

pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/t/deployments";
pub const WEB: &str = "/apis/apps/v1/namespaces/t/deployments/web";
pub const SETS: &str = "/apis/apps/v1/namespaces/t/replicasets";
pub const PODS: &str = "/api/v1/namespaces/t/pods";

pub fn deployment(replicas: u32, image: &str) -> Value {
    json!({ "metadata": { "name": "web" }, "spec": {
        "replicas": replicas,
        "selector": { "matchLabels": { "app": "a" } },
        "template": { "metadata": { "labels": { "app": "a" } }, "spec": {
            "containers": [{ "name": "c", "image": image, "ports": [{ "name": "http", "containerPort": 8080 }] }] } } } })
}

pub fn with_image(image: &str) -> Value {
    let containers = deployment(0, image)["spec"]["template"]["spec"].clone();
    json!({ "spec": { "template": { "spec": containers } } })
}

impl World {
    /// Waits until the rollout is complete with `replicas` pods of `image`.
    pub async fn until_rolled_out(&self, replicas: u64, image: &str) -> Value {
        self.until(&format!("{replicas} pods of {image}"), async || {
            let web = self.find(WEB).await?;
            let status = &web["status"];
            let counts = ["replicas", "updatedReplicas", "availableReplicas"];
            let is_done = status["observedGeneration"] == web["metadata"]["generation"]
                && counts
                    .iter()
                    .all(|c| status[*c].as_u64().unwrap_or(0) == replicas);
            let pods = self.list(PODS).await;
            let is_new = |pod: &Value| pod["spec"]["containers"][0]["image"] == image;
            (is_done && pods.len() as u64 == replicas && pods.iter().all(is_new)).then_some(web)
        })
        .await
    }
}

pub fn revision(object: &Value) -> &str {
    let annotations = &object["metadata"]["annotations"];
    annotations["deployment.kubernetes.io/revision"]
        .as_str()
        .unwrap()
}

fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().unwrap();
    conditions
        .iter()
        .find(|c| c["type"] == type_)
        .unwrap_or(&Value::Null)
}

async fn set_of(world: &World, image: &str) -> Value {
    let sets = world.list(SETS).await;
    let is_it = |s: &&Value| s["spec"]["template"]["spec"]["containers"][0]["image"] == image;
    sets.iter().find(is_it).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn deployment_makes_a_set_that_makes_pods_and_says_so() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(3, "app:1")).await;
    let web = world.until_rolled_out(3, "app:1").await;
    assert_eq!(revision(&web), "1");
    assert_eq!(
        condition(&web, "Available")["reason"],
        "MinimumReplicasAvailable"
    );
    let progressing = world
        .until("the end of the rollout", async || {
            let web = world.find(WEB).await?;
            let progressing = condition(&web, "Progressing").clone();
            (progressing["reason"] == "NewReplicaSetAvailable").then_some(progressing)
        })
        .await;
    let set = set_of(&world, "app:1").await;
    let name = set["metadata"]["name"].as_str().unwrap();
    assert_eq!(
        progressing["message"],
        format!("ReplicaSet \"{name}\" has successfully progressed.")
    );
    let hash = set["metadata"]["labels"]["pod-template-hash"]
        .as_str()
        .unwrap();
    assert_eq!(name, format!("web-{hash}"));
    assert_eq!(
        set["metadata"]["ownerReferences"][0]["uid"],
        web["metadata"]["uid"]
    );
    let annotations = &set["metadata"]["annotations"];
    assert_eq!(
        annotations["deployment.kubernetes.io/desired-replicas"],
        "3"
    );
    assert_eq!(annotations["deployment.kubernetes.io/max-replicas"], "4");
    for pod in world.list(PODS).await {
        assert_eq!(pod["metadata"]["generateName"], format!("{name}-"));
        assert_eq!(pod["metadata"]["labels"]["pod-template-hash"], hash);
        assert_eq!(
            pod["metadata"]["ownerReferences"][0]["uid"],
            set["metadata"]["uid"]
        );
    }
    let wanted = format!("Scaled up replica set {name} from 0 to 3");
    let event = world
        .until("the event", async || {
            let events = world.list("/api/v1/namespaces/t/events").await;
            let is_it = |e: &&Value| e["reason"] == "ScalingReplicaSet" && e["message"] == *wanted;
            events.iter().find(is_it).cloned()
        })
        .await;
    assert_eq!(event["source"]["component"], "deployment-controller");
    assert_eq!(event["involvedObject"]["uid"], web["metadata"]["uid"]);
    assert_eq!(event["count"], 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_update_and_rollback_keep_the_sets_and_count_revisions() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(3, "app:1")).await;
    world.until_rolled_out(3, "app:1").await;
    world.patch(WEB, with_image("app:2")).await;
    let web = world.until_rolled_out(3, "app:2").await;
    assert_eq!(revision(&web), "2");
    assert_eq!(set_of(&world, "app:1").await["spec"]["replicas"], 0);
    world.patch(WEB, with_image("app:1")).await;
    let web = world.until_rolled_out(3, "app:1").await;
    assert_eq!(revision(&web), "3");
    let old = set_of(&world, "app:1").await;
    assert_eq!(revision(&old), "3");
    assert_eq!(
        old["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"],
        "1"
    );
    assert_eq!(world.list(SETS).await.len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_deployment_rollingupdatedeployment_should_delete_old_pods_and_create_new_ones() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(4, "app:1")).await;
    world.until_rolled_out(4, "app:1").await;
    world.patch(WEB, with_image("app:2")).await;
    world
        .until("the rollout, never below 3 ready", async || {
            let pods = world.list(PODS).await;
            let ready = |p: &&Value| {
                p["status"]["phase"] == "Running" && p["metadata"]["deletionTimestamp"].is_null()
            };
            let count = pods.iter().filter(ready).count();
            assert!(count >= 3, "only {count} pods ready");
            let is_new = |p: &Value| p["spec"]["containers"][0]["image"] == "app:2";
            (pods.len() == 4 && pods.iter().all(is_new)).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scale_changes_the_set_and_no_revision() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(2, "app:1")).await;
    world.until_rolled_out(2, "app:1").await;
    world
        .patch(
            &format!("{WEB}/scale"),
            json!({ "spec": { "replicas": 5 } }),
        )
        .await;
    let web = world.until_rolled_out(5, "app:1").await;
    assert_eq!(revision(&web), "1");
    world.patch(WEB, json!({ "spec": { "replicas": 1 } })).await;
    world.until_rolled_out(1, "app:1").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_deployment_rolls_out_only_when_resumed() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(2, "app:1")).await;
    world.until_rolled_out(2, "app:1").await;
    world
        .patch(WEB, json!({ "spec": { "paused": true } }))
        .await;
    world.patch(WEB, with_image("app:2")).await;
    world
        .until("the pause to be noted", async || {
            let web = world.find(WEB).await?;
            let is_seen = web["status"]["observedGeneration"] == web["metadata"]["generation"];
            let reason = &condition(&web, "Progressing")["reason"];
            (is_seen && reason == "DeploymentPaused").then_some(())
        })
        .await;
    assert_eq!(world.list(SETS).await.len(), 1);
    world
        .patch(WEB, json!({ "spec": { "paused": false } }))
        .await;
    world.until_rolled_out(2, "app:2").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sig_apps_deployment_recreatedeployment_should_delete_old_pods_and_create_new_ones() {
    let world = World::start().await;
    let mut deployment = deployment(3, "app:1");
    deployment["spec"]["strategy"] = json!({ "type": "Recreate" });
    world.create(DEPLOYMENTS, deployment).await;
    world.until_rolled_out(3, "app:1").await;
    world.patch(WEB, with_image("app:2")).await;
    world
        .until("the new pods alone", async || {
            let pods = world.list(PODS).await;
            let of = |image: &str| {
                let is_of = |p: &&Value| p["spec"]["containers"][0]["image"] == image;
                pods.iter().filter(is_of).count()
            };
            let (old, new) = (of("app:1"), of("app:2"));
            assert!(old == 0 || new == 0, "{old} old and {new} new pods");
            (new == 3).then_some(())
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_pod_is_replaced() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(2, "app:1")).await;
    world.until_rolled_out(2, "app:1").await;
    let name = world.list(PODS).await[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    world.delete(&format!("{PODS}/{name}"), "Background").await;
    world.until_gone(&format!("{PODS}/{name}")).await;
    world.until_rolled_out(2, "app:1").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_started_anew_make_nothing_twice_and_catch_up() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(20, "app:1")).await;
    world.until_rolled_out(20, "app:1").await;
    let uids = async |world: &World| {
        let pods = world.list(PODS).await;
        let mut uids: Vec<String> = pods
            .iter()
            .map(|p| p["metadata"]["uid"].to_string())
            .collect();
        uids.sort();
        uids
    };
    let before = uids(&world).await;
    let world = world
        .without_controllers(async |world| {
            world
                .patch(WEB, json!({ "metadata": { "annotations": { "a": "b" } } }))
                .await;
        })
        .await;
    world
        .until("the annotation on the set", async || {
            let set = set_of(&world, "app:1").await;
            (set["metadata"]["annotations"]["a"] == "b").then_some(())
        })
        .await;
    assert_eq!(uids(&world).await, before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disruption_budget_lets_one_pod_go_at_a_time() {
    let world = World::start().await;
    world.create(DEPLOYMENTS, deployment(3, "app:1")).await;
    world.until_rolled_out(3, "app:1").await;
    let budgets = "/apis/policy/v1/namespaces/t/poddisruptionbudgets";
    let budget = json!({ "metadata": { "name": "b" }, "spec": { "maxUnavailable": 1,
        "selector": { "matchLabels": { "app": "a" } } } });
    world.create(budgets, budget).await;
    let allowed = async |wanted: u64| {
        world
            .until(&format!("{wanted} disruptions allowed"), async || {
                let found = world.find(&format!("{budgets}/b")).await?;
                let status = &found["status"];
                let is_seen = status["observedGeneration"] == 1 && status["expectedPods"] == 3;
                (is_seen && status["disruptionsAllowed"] == wanted).then_some(())
            })
            .await;
    };
    allowed(1).await;
    let name = world.list(PODS).await[0]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let unready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    world.patch(&format!("{PODS}/{name}/status"), unready).await;
    allowed(0).await;
    world.stop().await;
}
