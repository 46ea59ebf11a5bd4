//! What all metrics of an autoscaler say together.

use apimachinery::Quantity as Exact;
use apimachinery::selector::LabelSelector;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::limits::Memory;
use super::proposal::{self, Said, Scene, Silence};
use super::replicas::Tolerance;
use super::status::{ACTIVE, Status};
use super::target::{self, Size};
use super::{Autoscalers, Called};
use crate::key::Key;

const TOLERANCE: f64 = 0.1;

impl Autoscalers {
    /// Asks all metrics; the one that calls for the most pods counts. One that
    /// says nothing keeps the others from scaling down.
    pub(super) async fn ask(
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
}

fn tolerance(scaler: &HorizontalPodAutoscaler) -> Tolerance {
    let behavior = scaler.spec.behavior.as_ref();
    let up = behavior.and_then(|b| b.scale_up.as_ref()?.tolerance.as_ref());
    let down = behavior.and_then(|b| b.scale_down.as_ref()?.tolerance.as_ref());
    let number = |said: Option<&Quantity>| {
        let said = said.and_then(|q| q.0.parse::<Exact>().ok());
        said.map_or(TOLERANCE, Exact::as_f64)
    };
    Tolerance {
        up: number(up),
        down: number(down),
    }
}
