//! What the kubelet counts, by the names that Kubernetes has for it.

use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use metrics::{Collect, Counter, Family, Gauge, Histogram, NODE};

use crate::record::Role;

const START_BOUNDS: &[f64] = &[
    0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0,
    180.0, 300.0, 600.0, 1200.0, 3600.0,
];
const PULL_BOUNDS: &[f64] = &[1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 180.0, 300.0, 600.0, 900.0];
const MIB: u64 = 1 << 20;

static NODE_NAME: Family<Gauge> = Family::gauge(
    "kubelet_node_name",
    "The node's name. The count is always 1.",
    &["node"],
);
static POD_START: Family<Histogram> = Family::histogram(
    "kubelet_pod_start_duration_seconds",
    "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
    &[],
    START_BOUNDS,
);
static STARTED_PODS: Family<Counter> = Family::counter(
    "kubelet_started_pods_total",
    "Cumulative number of pods started",
    &[],
);
static PODS_FAILED: Family<Counter> = Family::counter(
    "kubelet_started_pods_errors_total",
    "Cumulative number of errors when starting pods",
    &[],
);
static STARTED: Family<Counter> = Family::counter(
    "kubelet_started_containers_total",
    "Cumulative number of containers started",
    &["container_type"],
);
static NOT_STARTED: Family<Counter> = Family::counter(
    "kubelet_started_containers_errors_total",
    "Cumulative number of errors when starting containers",
    &["code", "container_type"],
);
static PULL: Family<Histogram> = Family::histogram(
    "kubelet_image_pull_duration_seconds",
    "Duration in seconds to pull an image.",
    &["image_size_in_bytes"],
    PULL_BOUNDS,
);
/// Told at a path of its own: there are many.
pub static PROBES: Family<Counter> = Family::counter(
    "prober_probe_total",
    "Cumulative number of a liveness, readiness or startup probe for a container by result.",
    &[
        "container",
        "namespace",
        "pod",
        "pod_uid",
        "probe_type",
        "result",
    ],
);

/// Adds what is counted here to the node's metrics.
pub fn tell(node: &str) {
    static ALL: LazyLock<[&dyn Collect; 7]> = LazyLock::new(|| {
        [
            &NODE_NAME,
            &POD_START,
            &STARTED_PODS,
            &PODS_FAILED,
            &STARTED,
            &NOT_STARTED,
            &PULL,
        ]
    });
    NODE.add(&*ALL);
    NODE_NAME.with(&[node]).set(1);
    POD_START.only();
    STARTED_PODS.only();
}

/// A pod runs, so long after it was first seen.
pub fn pod_runs(took: Duration) {
    POD_START.only().took(took);
}

/// A pod's surroundings were made, or could not be.
pub fn set_up(is_made: bool) {
    let family = if is_made { &STARTED_PODS } else { &PODS_FAILED };
    family.only().inc();
}

/// A container was started, or could not be for that reason.
pub fn container(role: Role, refused: Option<&str>) {
    let kind = match role {
        Role::Init => "init_container",
        Role::Ephemeral => "ephemeral_container",
        _ => "container",
    };
    match refused {
        None => STARTED.with(&[kind]).inc(),
        Some(reason) => NOT_STARTED.with(&[reason, kind]).inc(),
    }
}

pub fn pulled(size: u64, took: Duration) {
    PULL.with(&[size_of_image(size)]).took(took);
}

/// The sizes that Kubernetes tells apart.
fn size_of_image(bytes: u64) -> &'static str {
    match bytes / MIB {
        0..10 => "0-10MB",
        10..100 => "10MB-100MB",
        100..500 => "100MB-500MB",
        500..1024 => "500MB-1GB",
        1024..5120 => "1GB-5GB",
        5120..10240 => "5GB-10GB",
        10240..20480 => "10GB-20GB",
        20480..30720 => "20GB-30GB",
        30720..40960 => "30GB-40GB",
        40960..61440 => "40GB-60GB",
        61440..102_400 => "60GB-100GB",
        _ => "GT100GB",
    }
}

/// The answers of one probe, for as long as it is asked.
pub struct Answers {
    of: [String; 5],
}

const RESULTS: [&str; 3] = ["successful", "failed", "unknown"];

impl Answers {
    pub fn of(pod: &Pod, container: &str, probe: &str) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let meta = &pod.metadata;
        let (namespace, name, uid) = (text(&meta.namespace), text(&meta.name), text(&meta.uid));
        let of = [container.to_owned(), namespace, name, uid, probe.to_owned()];
        Self { of }
    }

    /// `None`: nobody can tell.
    pub fn count(&self, is_success: Option<bool>) {
        let result = match is_success {
            Some(true) => RESULTS[0],
            Some(false) => RESULTS[1],
            None => RESULTS[2],
        };
        PROBES.with(&self.labels(result)).inc();
    }

    fn labels<'a>(&'a self, result: &'a str) -> [&'a str; 6] {
        let [container, namespace, pod, uid, probe] = &self.of;
        [container, namespace, pod, uid, probe, result]
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for result in RESULTS {
            PROBES.forget(&self.labels(result));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_counted_while_it_is_asked() {
        let mut pod = Pod::default();
        pod.metadata.name = Some("counted-probe".into());
        let text = || {
            let mut text = metrics::Text::new();
            PROBES.collect(&mut text);
            text.into_string()
        };
        let answers = Answers::of(&pod, "c", "Liveness");
        answers.count(Some(true));
        answers.count(Some(true));
        let line =
            "pod=\"counted-probe\",pod_uid=\"\",probe_type=\"Liveness\",result=\"successful\"} 2\n";
        assert!(text().contains(line), "{}", text());
        drop(answers);
        assert!(!text().contains("counted-probe"));
    }
}
