//! HorizontalPodAutoscalers: as many pods as their metrics call for.
//!
//! Every [`Config::autoscaler_period`](crate::Config) each one asks for its
//! metrics ([`proposal`]), weighs them ([`replicas`]) and keeps the change
//! within its limits ([`limits`]). The last two are pure.

mod limits;
mod metrics;
mod proposal;
mod replicas;
mod status;
mod target;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apimachinery::selector::LabelSelector;
use events::Recorder;
use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerStatus, MetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
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
use proposal::{Said, Scene, Silence};
use replicas::Tolerance;
use status::{ABLE, ACTIVE, LIMITED, Status};
use target::{Resources, Size};

const WORKERS: usize = 5;
const TOLERANCE: f64 = 0.1;
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

    /// Asks all metrics; the one that calls for the most pods counts. One that
    /// says nothing keeps the others from scaling down.
    async fn ask(
        &self,
        key: &Key,
        scaler: &HorizontalPodAutoscaler,
        size: &Size,
        status: &mut Status,
    ) -> Option<Called> {
        let selector = self.selector(scaler, size, status)?;
        let client = &self.cluster.client;
        let pods = target::pods(client, &key.namespace, &size.selector).await;
        let pods = pods.unwrap_or_default();
        if !self.is_alone(key, scaler, selector, &pods, status) {
            return None;
        }
        let scene = Scene {
            client,
            resources: &self.resources,
            namespace: &key.namespace,
            size,
            pods: &pods,
            tolerance: tolerance(scaler),
            now: status.now,
        };
        let (said, silent) = self.measure(scaler, &scene, status).await;
        // The first of those that call for the most.
        let most = said.into_iter().rev().max_by_key(|said| said.replicas);
        let most = most.filter(|said| silent.is_empty() || said.replicas >= size.wanted);
        let Some(most) = most else {
            status.current(size.wanted);
            if let Some(first) = silent.first() {
                let why = &first.why;
                let why = format!("the HPA was unable to compute the replica count: {why}");
                status.set(ACTIVE, false, first.reason, &why);
            }
            return None;
        };
        let Said { replicas, name, .. } = most;
        let found = "the HPA was able to successfully calculate a replica count from";
        status.set(ACTIVE, true, "ValidMetricFound", &format!("{found} {name}"));
        let reason = if replicas > size.wanted {
            format!("{name} above target")
        } else {
            "All metrics below target".into()
        };
        Some(Called { replicas, reason })
    }

    async fn measure(
        &self,
        scaler: &HorizontalPodAutoscaler,
        scene: &Scene<'_>,
        status: &mut Status,
    ) -> (Vec<Said>, Vec<Silence>) {
        let specs = scaler.spec.metrics.as_deref().unwrap_or_default();
        let (mut said, mut silent, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
        for spec in specs {
            match proposal::of(scene, spec).await {
                Ok(one) => {
                    statuses.push(one.status.clone());
                    said.push(one);
                }
                Err(one) => {
                    statuses.push(MetricStatus::default());
                    self.warn(scaler, one.reason, &one.why);
                    silent.push(one);
                }
            }
        }
        status.measured(statuses);
        if let Some(first) = silent.first() {
            let (count, all) = (silent.len(), specs.len());
            let why =
                format!("invalid metrics ({count} invalid out of {all}), first error is: {first}");
            self.warn(scaler, "FailedComputeMetricsReplicas", &why);
        }
        (said, silent)
    }

    fn selector(
        &self,
        scaler: &HorizontalPodAutoscaler,
        size: &Size,
        status: &mut Status,
    ) -> Option<LabelSelector> {
        if size.selector.is_empty() {
            self.warn(scaler, "SelectorRequired", "selector is required");
            let why = "the HPA target's scale is missing a selector";
            status.set(ACTIVE, false, "InvalidSelector", why);
            return None;
        }
        match size.selector.parse() {
            Ok(selector) => Some(selector),
            Err(error) => {
                let why = format!(
                    "couldn't convert selector into a corresponding internal selector object: {error}"
                );
                self.warn(scaler, "InvalidSelector", &why);
                status.set(ACTIVE, false, "InvalidSelector", &why);
                None
            }
        }
    }

    /// Two that scale by the same pods would work against each other.
    fn is_alone(
        &self,
        key: &Key,
        scaler: &HorizontalPodAutoscaler,
        selector: LabelSelector,
        pods: &[Pod],
        status: &mut Status,
    ) -> bool {
        let text = selector.to_string();
        let mut memories = self.memories();
        memories.entry(key.clone()).or_default().selector = Some(selector);
        let is_rival = |memory: &Memory| {
            let selector = memory.selector.as_ref();
            selector.is_some_and(|s| pods.iter().any(|pod| target::is_selected(s, pod)))
        };
        let mut rivals: Vec<String> = memories
            .iter()
            .filter(|(of, memory)| of.namespace == key.namespace && is_rival(memory))
            .map(|(of, _)| of.to_string())
            .collect();
        if rivals.len() < 2 {
            return true;
        }
        rivals.sort();
        let rivals = rivals.join(" ");
        let why = format!("pods by selector {text} are controlled by multiple HPAs: [{rivals}]");
        self.warn(scaler, "AmbiguousSelector", &why);
        status.set(ACTIVE, false, "AmbiguousSelector", &why);
        false
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

fn tolerance(scaler: &HorizontalPodAutoscaler) -> Tolerance {
    let behavior = scaler.spec.behavior.as_ref();
    let up = behavior.and_then(|b| b.scale_up.as_ref()?.tolerance.as_ref());
    let down = behavior.and_then(|b| b.scale_down.as_ref()?.tolerance.as_ref());
    let number = |said: Option<&k8s_openapi::apimachinery::pkg::api::resource::Quantity>| {
        let said = said.and_then(|q| q.0.parse::<apimachinery::Quantity>().ok());
        said.map_or(TOLERANCE, apimachinery::Quantity::as_f64)
    };
    Tolerance {
        up: number(up),
        down: number(down),
    }
}

#[cfg(test)]
mod tests;
