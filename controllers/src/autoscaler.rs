//! HorizontalPodAutoscalers: as many pods as their metrics call for.
//!
//! Every [`Config::autoscaler_period`](crate::Config) each one asks for its
//! metrics ([`proposal`]), weighs them ([`replicas`]) and keeps the change
//! within its limits ([`limits`]). The last two are pure.

mod ask;
mod limits;
mod metrics;
mod proposal;
mod replicas;
mod status;
mod target;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::Recorder;
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::merge_patch;
use crate::queue::Queue;
use crate::resources::Resource;
use limits::Memory;
use status::{ABLE, ACTIVE, LIMITED, Status};
use target::{Resources, Size};

const WORKERS: usize = 5;
const GOT_SCALE: &str = "the HPA controller was able to get the target's current scale";

struct Autoscalers {
    cluster: Cluster,
    recorder: Recorder,
    period: Duration,
    resources: Resources,
    memories: Mutex<HashMap<Key, Memory>>,
}

pub fn start(
    config: &Config,
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    let changed = queue.clone();
    cluster.autoscalers.on_change(move |old, new| {
        // Our own writes of the status are no reason to look again.
        let is_news = match (old, new) {
            (Some(old), Some(new)) => old.spec != new.spec,
            _ => true,
        };
        if let Some(scaler) = new.or(old).filter(|_| is_news) {
            changed.add(Key::of(scaler));
        }
    });
    let controller = Autoscalers {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("horizontal-pod-autoscaler"),
        period: config.autoscaler_period,
        resources: Resources::default(),
        memories: Mutex::default(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for Autoscalers {
    const NAME: &'static str = "horizontalpodautoscaling";

    async fn informed(&self) {
        self.cluster.autoscalers.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(scaler) = self.cluster.autoscalers.get(key) else {
            self.memories().remove(key);
            return Ok(Next::WhenChanged);
        };
        let before = scaler.status.clone().unwrap_or_default();
        let mut status = Status::new(before.clone(), Timestamp::now());
        self.scale(key, &scaler, &mut status).await;
        self.write(key, &scaler, &before, status.done()).await?;
        Ok(Next::After(self.period))
    }
}

/// What the metrics say together.
struct Called {
    replicas: i32,
    reason: String,
}

impl Autoscalers {
    fn memories(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn warn(&self, scaler: &HorizontalPodAutoscaler, reason: &'static str, why: &str) {
        self.recorder.warning(scaler, reason, why);
    }

    async fn scale(&self, key: &Key, scaler: &HorizontalPodAutoscaler, status: &mut Status) {
        let target = &scaler.spec.scale_target_ref;
        let client = &self.cluster.client;
        let found = async {
            let resource = self.resources.of(client, target).await?;
            let size = target::size(client, &resource, &key.namespace, &target.name).await?;
            Ok((resource, size))
        };
        let (resource, size) = match found.await {
            Ok(found) => found,
            Err(why) => {
                let why: String = why;
                self.warn(scaler, "FailedGetScale", &why);
                let why = format!(
                    "the HPA controller was unable to get the target's current scale: {why}"
                );
                return status.set(ABLE, false, "FailedGetScale", &why);
            }
        };
        status.set(ABLE, true, "SucceededGetScale", GOT_SCALE);
        self.memories()
            .entry(key.clone())
            .or_default()
            .start(size.wanted, status.now);
        let Some(called) = self.decide(key, scaler, &size, status).await else {
            return;
        };
        if called.replicas == size.wanted {
            return status.sized(size.wanted, called.replicas);
        }
        let resized = self.resize(scaler, &resource, &size, &called, status);
        if resized.await {
            let mut memories = self.memories();
            let memory = memories.entry(key.clone()).or_default();
            memory.changed(size.wanted, called.replicas, status.now);
        }
    }

    /// How many pods there should be; nothing where nobody can say.
    async fn decide(
        &self,
        key: &Key,
        scaler: &HorizontalPodAutoscaler,
        size: &Size,
        status: &mut Status,
    ) -> Option<Called> {
        let spec = &scaler.spec;
        let least = spec.min_replicas.unwrap_or(1);
        let at = |replicas, reason: &str| {
            let reason = reason.to_owned();
            Some(Called { replicas, reason })
        };
        if size.wanted == 0 && least != 0 {
            let why = "scaling is disabled since the replica count of the target is zero";
            status.set(ACTIVE, false, "ScalingDisabled", why);
            return at(0, "");
        }
        if size.wanted > spec.max_replicas {
            let why = "Current number of replicas above Spec.MaxReplicas";
            return at(spec.max_replicas, why);
        }
        if size.wanted < least {
            return at(least, "Current number of replicas below Spec.MinReplicas");
        }
        let called = self.ask(key, scaler, size, status).await?;
        let mut memories = self.memories();
        let memory = memories.entry(key.clone()).or_default();
        let limited = limits::limit(spec, memory, size.wanted, called.replicas, status.now);
        let (stabilized, why) = (limited.stabilized, limited.limited);
        status.set(ABLE, true, stabilized.reason, stabilized.message);
        status.set(LIMITED, limited.is_limited, why.reason, why.message);
        Some(Called {
            replicas: limited.replicas,
            ..called
        })
    }

    async fn resize(
        &self,
        scaler: &HorizontalPodAutoscaler,
        resource: &Resource,
        size: &Size,
        called: &Called,
        status: &mut Status,
    ) -> bool {
        let name = &scaler.spec.scale_target_ref.name;
        let namespace = scaler.metadata.namespace.as_deref().unwrap_or_default();
        let (new, reason) = (called.replicas, &called.reason);
        let api = resource.api(&self.cluster.client, namespace);
        if let Err(why) = target::resize(&api, name, size, new).await {
            let told = format!("New size: {new}; reason: {reason}; error: {why}");
            self.warn(scaler, "FailedRescale", &told);
            let why = format!("the HPA controller was unable to update the target scale: {why}");
            status.set(ABLE, false, "FailedUpdateScale", &why);
            status.current(size.wanted);
            return false;
        }
        let why = format!("the HPA controller was able to update the target scale to {new}");
        status.set(ABLE, true, "SucceededRescale", &why);
        status.sized(size.wanted, new);
        status.rescaled();
        let told = format!("New size: {new}; reason: {reason}");
        self.recorder.normal(scaler, "SuccessfulRescale", told);
        true
    }

    async fn write(
        &self,
        key: &Key,
        scaler: &HorizontalPodAutoscaler,
        before: &HorizontalPodAutoscalerStatus,
        status: HorizontalPodAutoscalerStatus,
    ) -> Result<(), Error> {
        let difference = merge_patch::between(&json!(before), &json!(status));
        if difference.as_object().is_some_and(|d| d.is_empty()) {
            return Ok(());
        }
        let patch = json!({ "metadata": { "uid": scaler.metadata.uid }, "status": difference });
        let client = self.cluster.client.clone();
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client, &key.namespace);
        let written = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api(
                "write status of",
                "HorizontalPodAutoscaler",
                key,
            ))?;
        self.cluster.autoscalers.note(written);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
