//! What each workload leaves behind, compared with what was recorded of a real
//! Kubernetes with its scheduler: names, owners, labels, annotations,
//! conditions, counts and events.
//!
//! A test does what the recording says was done, and waits until what is there
//! contains what was recorded. Random parts of names, hashes and uids are told
//! apart by what they stand for ([`plain`]); where newer releases differ is in
//! `leavings/known.txt`, with the reason.

mod compare;
mod plain;
mod recording;

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::world::World;
use recording::Recording;

const NAMESPACE: &str = "/namespaces/ctl";
const PATIENCE: Duration = Duration::from_secs(60);
/// Until a CronJob's minute has come.
const A_MINUTE: Duration = Duration::from_secs(120);

/// A world, and the recording it is held against.
struct Played {
    world: World,
    recording: Recording,
}

fn path(kind: &str) -> String {
    let group = match kind {
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "controllerrevisions" => {
            "/apis/apps/v1"
        }
        "jobs" | "cronjobs" => "/apis/batch/v1",
        "poddisruptionbudgets" => "/apis/policy/v1",
        "endpointslices" => "/apis/discovery.k8s.io/v1",
        _ => "/api/v1",
    };
    format!("{group}{NAMESPACE}/{kind}")
}

fn with_image(image: &str) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": [{ "name": "c", "image": image }] } } } })
}

impl Played {
    /// None, and a word about it, where the recordings are not at hand.
    async fn start() -> Option<Self> {
        let recording = Recording::read()?;
        let world = World::start_scheduled().await;
        world.make_namespace("ctl").await;
        Some(Self { world, recording })
    }

    /// Makes an object as it is in the recording of `step`, as its user wrote it.
    async fn create(&self, step: &str, kind: &str, name: &str, image: &str) {
        let recorded = self.recording.object(step, kind, name);
        let mut spec = plain::as_written(recorded["spec"].clone());
        for template in ["/template", "/jobTemplate/spec/template"] {
            if let Some(first) = spec.pointer_mut(&format!("{template}/spec/containers/0/image")) {
                *first = image.into();
            }
        }
        let body = json!({ "metadata": { "name": name }, "spec": spec });
        self.world.create(&path(kind), body).await;
    }

    async fn patch(&self, kind: &str, name: &str, patch: Value) {
        self.world
            .patch(&format!("{}/{name}", path(kind)), patch)
            .await;
    }

    /// Waits until what is there is what was recorded after `step`.
    async fn leaves(&self, step: &str) {
        self.leaves_within(PATIENCE, step).await;
    }

    async fn leaves_within(&self, patience: Duration, step: &str) {
        let start = tokio::time::Instant::now();
        loop {
            let found = self.found(step).await;
            let found = compare::differences(self.recording.after(step), &found);
            let surprises = self.recording.surprises(step, &found);
            if surprises.is_empty() {
                return;
            }
            assert!(
                start.elapsed() < patience,
                "{step}: left otherwise than on Kubernetes:\n{}",
                surprises.join("\n")
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn found(&self, step: &str) -> Value {
        let recorded = self.recording.after(step).as_object().unwrap();
        let mut found = json!({});
        for kind in recorded.keys() {
            found[kind] = self.world.list(&path(kind)).await.into();
        }
        found
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deployment_leaves_what_it_leaves_on_kubernetes() {
    let Some(played) = Played::start().await else {
        return;
    };
    let first = "deployment 3 replicas + service";
    let service = json!({ "metadata": { "name": "web" }, "spec": { "selector": { "app": "a" },
        "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] } });
    played.world.create(&path("services"), service).await;
    played.create(first, "deployments", "web", "app:1").await;
    played.leaves(first).await;
    played
        .patch("deployments", "web", with_image("app:2"))
        .await;
    played.leaves("rolling update").await;
    played
        .patch("deployments", "web", with_image("app:1"))
        .await;
    played.leaves("rollback to old template").await;
    played
        .patch("deployments", "web", json!({ "spec": { "replicas": 5 } }))
        .await;
    played.leaves("scale to 5").await;
    played
        .patch("deployments", "web", json!({ "spec": { "paused": true } }))
        .await;
    played
        .patch("deployments", "web", with_image("app:3"))
        .await;
    played.leaves("paused then changed").await;
    let web = format!("{}/web", path("deployments"));
    played.world.delete(&web, "Foreground").await;
    played.leaves("foreground delete").await;
    played.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recreated_deployment_leaves_what_it_leaves_on_kubernetes() {
    let Some(played) = Played::start().await else {
        return;
    };
    let step = "recreate strategy";
    played.create(step, "deployments", "rec", "app:1").await;
    let rec = format!("{}/rec", path("deployments"));
    let available = async || {
        let rec = played.world.find(&rec).await?;
        (rec["status"]["availableReplicas"] == 2).then_some(())
    };
    played.world.until("two pods", available).await;
    played
        .patch("deployments", "rec", with_image("app:2"))
        .await;
    played.leaves(step).await;
    played.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stateful_set_leaves_what_it_leaves_on_kubernetes() {
    let Some(played) = Played::start().await else {
        return;
    };
    played
        .create("statefulset", "statefulsets", "ss", "app:1")
        .await;
    played.leaves("statefulset").await;
    played
        .patch("statefulsets", "ss", with_image("app:2"))
        .await;
    played.leaves("statefulset update").await;
    played
        .patch("statefulsets", "ss", json!({ "spec": { "replicas": 1 } }))
        .await;
    played.leaves("statefulset scale down").await;
    played.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_set_leaves_what_it_leaves_on_kubernetes() {
    let Some(played) = Played::start().await else {
        return;
    };
    played
        .create("daemonset", "daemonsets", "ds", "app:1")
        .await;
    played.leaves("daemonset").await;
    played.patch("daemonsets", "ds", with_image("app:2")).await;
    played.leaves("daemonset update").await;
    played.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_leave_what_they_leave_on_kubernetes() {
    let Some(played) = Played::start().await else {
        return;
    };
    played.create("job", "jobs", "ok", "app:1").await;
    played.leaves("job").await;
    played.create("indexed job", "jobs", "idx", "app:1").await;
    played.leaves("indexed job").await;
    played.create("failing job", "jobs", "bad", "app:1").await;
    played.leaves("failing job").await;
    played.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cron_job_leaves_what_it_leaves_on_kubernetes() {
    let Some(played) = Played::start().await else {
        return;
    };
    played.create("cronjob", "cronjobs", "cj", "app:1").await;
    played.leaves_within(A_MINUTE, "cronjob").await;
    played.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replication_controller_and_budget_leave_what_they_leave_on_kubernetes() {
    let Some(played) = Played::start().await else {
        return;
    };
    let step = "rc + pdb";
    played
        .create(step, "replicationcontrollers", "rc", "app:1")
        .await;
    played.create(step, "poddisruptionbudgets", "pdb", "").await;
    played.leaves(step).await;
    let pods = played.world.list(&path("pods")).await;
    let pod = pods[0]["metadata"]["name"].as_str().unwrap();
    let eviction =
        json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
    let evict = format!("{}/{pod}/eviction", path("pods"));
    let refused = played.world.ask(Method::POST, &evict, eviction).await;
    let recorded = played.recording.response("eviction refused by pdb");
    let differences = compare::differences(&recorded["body"], &refused);
    assert!(differences.is_empty(), "{differences:#?}");
    played.world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unschedulable_pods_leave_what_they_leave_on_kubernetes() {
    let Some(played) = Played::start().await else {
        return;
    };
    let step = "unschedulable pods";
    let container = |requests: Value| json!([{ "name": "c", "image": "app:1", "resources": { "requests": requests } }]);
    let pods = [
        json!({ "metadata": { "name": "toobig" }, "spec": { "containers": container(json!({ "cpu": "99" })) } }),
        json!({ "metadata": { "name": "nosel" }, "spec": { "containers": container(json!({})),
            "nodeSelector": { "x": "y" } } }),
    ];
    for mut pod in pods {
        if pod["metadata"]["name"] == "toobig" {
            pod["spec"]["containers"][0]["image"] = "a".into();
        }
        played.world.create(&path("pods"), pod).await;
    }
    played.leaves(step).await;
    played.world.stop().await;
}
