//! The four paths of metrics: the kubelet's own, probes', containers' and what
//! metrics-server reads.

use std::sync::Arc;

use http::StatusCode;
use k8s_openapi::api::core::v1::ContainerState;
use metrics::{CONTENT_TYPE, Collect as _, Kind, Labels, NODE, PROCESS, Text};

use super::stats::{self, Use};
use super::{Answer, respond};
use crate::agent::{Agent, PodView};
use crate::metrics::PROBES;
use crate::node::machine;

fn answer(text: Text) -> Answer {
    respond(StatusCode::OK, CONTENT_TYPE, text.into_string())
}

/// What kubelet, Services and DNS of this process count.
pub fn own(agent: &Agent) -> Answer {
    let mut text = Text::new();
    let views = agent.pods.all();
    let pods = views.iter().filter(|view| view.sandbox.is_some()).count();
    let help = "Number of pods that have a running pod sandbox";
    text.only("kubelet_running_pods", Kind::Gauge, help, pods);
    let containers = views.iter().flat_map(|view| &view.containers);
    let running = containers.filter(|c| c.running.is_some()).count();
    let name = "kubelet_running_containers";
    text.head(name, Kind::Gauge, "Number of containers currently running");
    let labels = Labels::new(&[("container_state", "running")]);
    text.sample(name, &labels, running);
    NODE.collect(&mut text);
    PROCESS.collect(&mut text);
    answer(text)
}

pub fn probes() -> Answer {
    let mut text = Text::new();
    PROBES.collect(&mut text);
    answer(text)
}

/// A metric of each container.
struct PerContainer {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&Use) -> f64,
}

/// What cAdvisor calls them.
const CONTAINERS: [PerContainer; 8] = [
    PerContainer {
        name: "container_cpu_usage_seconds_total",
        kind: Kind::Counter,
        help: "Cumulative cpu time consumed in seconds.",
        value: |used| seconds(used.stats.cpu_usage_ns),
    },
    PerContainer {
        name: "container_memory_usage_bytes",
        kind: Kind::Gauge,
        help: "Current memory usage in bytes, including all memory regardless of when it was accessed",
        value: |used| used.stats.memory_usage_bytes as f64,
    },
    PerContainer {
        name: "container_memory_working_set_bytes",
        kind: Kind::Gauge,
        help: "Current working set in bytes.",
        value: |used| used.stats.memory_working_set_bytes as f64,
    },
    PerContainer {
        name: "container_memory_rss",
        kind: Kind::Gauge,
        help: "Size of RSS in bytes.",
        value: |used| used.stats.memory_rss_bytes as f64,
    },
    PerContainer {
        name: "container_processes",
        kind: Kind::Gauge,
        help: "Number of processes running inside the container.",
        value: |used| used.stats.pids as f64,
    },
    PerContainer {
        name: "container_page_faults_total",
        kind: Kind::Counter,
        help: "Cumulative count of page faults.",
        value: |used| used.stats.page_faults as f64,
    },
    PerContainer {
        name: "container_major_page_faults_total",
        kind: Kind::Counter,
        help: "Cumulative count of page faults that were read from disk.",
        value: |used| used.stats.major_page_faults as f64,
    },
    PerContainer {
        name: "container_last_seen",
        kind: Kind::Gauge,
        help: "Last time a container was seen by the exporter",
        value: |_| jiff::Timestamp::now().as_second() as f64,
    },
];

/// As cAdvisor tells of containers and of the machine.
pub async fn containers(agent: &Agent) -> Answer {
    let mut text = Text::new();
    let uses = stats::uses(agent).await;
    for metric in &CONTAINERS {
        text.head(metric.name, metric.kind, metric.help);
        for used in &uses {
            let labels = Labels::new(&[
                ("container", &used.container),
                ("id", &used.id),
                ("namespace", &used.namespace),
                ("pod", &used.pod),
            ]);
            text.sample(metric.name, &labels, (metric.value)(used));
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let help = "Number of logical CPU cores.";
    text.only("machine_cpu_cores", Kind::Gauge, help, cores);
    let memory = machine::memory("MemTotal").unwrap_or(0);
    let help = "Amount of memory installed on the machine.";
    text.only("machine_memory_bytes", Kind::Gauge, help, memory);
    answer(text)
}

/// CPU and memory of node, pods and containers, for metrics-server.
pub async fn resource(agent: &Agent) -> Answer {
    let mut text = Text::new();
    node(&mut text);
    let views = agent.pods.all();
    containers_of(&views, &mut text).await;
    pods(&views, &mut text).await;
    let help = "1 if there was an error while getting container metrics, 0 otherwise";
    text.only("resource_scrape_error", Kind::Gauge, help, 0);
    answer(text)
}

fn node(text: &mut Text) {
    let help = "Cumulative cpu time consumed by the node in core-seconds";
    let cpu = seconds(stats::node_cpu_ns());
    text.only("node_cpu_usage_seconds_total", Kind::Counter, help, cpu);
    let available = machine::memory("MemAvailable").unwrap_or(0);
    let used = machine::memory("MemTotal").unwrap_or(0) - available;
    let help = "Current working set of the node in bytes";
    text.only("node_memory_working_set_bytes", Kind::Gauge, help, used);
}

async fn containers_of(views: &[Arc<PodView>], text: &mut Text) {
    let mut uses = Vec::new();
    for view in views {
        uses.extend(stats::uses_of(view).await);
    }
    let labels = |used: &Use| {
        Labels::new(&[
            ("container", &used.container),
            ("namespace", &used.namespace),
            ("pod", &used.pod),
        ])
    };
    for metric in [&CONTAINERS[0], &CONTAINERS[2]] {
        text.head(metric.name, metric.kind, metric.help);
        for used in &uses {
            text.sample(metric.name, &labels(used), (metric.value)(used));
        }
    }
    let name = "container_start_time_seconds";
    let help = "Start time of the container since unix epoch in seconds";
    text.head(name, Kind::Gauge, help);
    for used in &uses {
        if let Some(started) = started(views, used) {
            text.sample(name, &labels(used), started);
        }
    }
}

fn started(views: &[Arc<PodView>], used: &Use) -> Option<i64> {
    let uid = Some(used.uid.as_str());
    let view = views
        .iter()
        .find(|view| view.pod.metadata.uid.as_deref() == uid)?;
    let status = &view.status;
    let lists = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let mut all = lists.into_iter().flatten().flatten();
    let found = all.find(|one| one.name == used.container)?;
    let ContainerState { running, .. } = found.state.as_ref()?;
    Some(running.as_ref()?.started_at.as_ref()?.0.as_second())
}

async fn pods(views: &[Arc<PodView>], text: &mut Text) {
    let mut uses = Vec::new();
    for view in views {
        let Some(sandbox) = &view.sandbox else {
            continue;
        };
        if let Ok(stats) = sandbox.pod_stats().await {
            let metadata = &view.pod.metadata;
            let namespace = metadata.namespace.as_deref().unwrap_or_default();
            let pod = metadata.name.as_deref().unwrap_or_default();
            uses.push((
                Labels::new(&[("namespace", namespace), ("pod", pod)]),
                stats,
            ));
        }
    }
    let name = "pod_cpu_usage_seconds_total";
    let help = "Cumulative cpu time consumed by the pod in core-seconds";
    text.head(name, Kind::Counter, help);
    for (labels, stats) in &uses {
        text.sample(name, labels, seconds(stats.cpu_usage_ns));
    }
    let name = "pod_memory_working_set_bytes";
    text.head(name, Kind::Gauge, "Current working set of the pod in bytes");
    for (labels, stats) in &uses {
        text.sample(name, labels, stats.memory_working_set_bytes);
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
