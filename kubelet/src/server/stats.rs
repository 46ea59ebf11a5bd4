//! What the node's pods are and use.

use std::sync::Arc;

use http::StatusCode;
use runtime::{ContainerId, Stats};
use serde_json::{Value, json};

use super::{Answer, respond};
use crate::agent::{Agent, PodView};
use crate::node::machine;

/// The pods as this node has them.
pub fn pods(agent: &Agent) -> Answer {
    let items: Vec<Value> = agent
        .pods
        .all()
        .iter()
        .map(|view| {
            let mut pod = view.pod.as_ref().clone();
            pod.status = Some(view.status.clone());
            serde_json::to_value(pod).unwrap_or_default()
        })
        .collect();
    json_answer(&json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}))
}

fn json_answer(value: &Value) -> Answer {
    respond(StatusCode::OK, "application/json", value.to_string())
}

/// One container's use.
pub struct Use {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    pub container: String,
    pub id: String,
    pub stats: Stats,
}

pub async fn uses(agent: &Agent) -> Vec<Use> {
    let mut found = Vec::new();
    for view in agent.pods.all() {
        found.extend(uses_of(&view).await);
    }
    found
}

pub async fn uses_of(view: &Arc<PodView>) -> Vec<Use> {
    let mut found = Vec::new();
    let Some(sandbox) = &view.sandbox else {
        return found;
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    for container in &view.containers {
        let Some(Ok(id)) = container.running.clone().map(ContainerId::new) else {
            continue;
        };
        if let Ok(stats) = sandbox.stats(&id).await {
            let metadata = &view.pod.metadata;
            let (namespace, pod, uid) = (
                text(&metadata.namespace),
                text(&metadata.name),
                text(&metadata.uid),
            );
            found.push(Use {
                namespace,
                pod,
                uid,
                container: container.name.clone(),
                id: id.to_string(),
                stats,
            });
        }
    }
    found
}

/// The summary API that metrics-server and autoscalers read.
pub async fn summary(agent: &Agent) -> Answer {
    let time = jiff::Timestamp::now().to_string();
    let cpu = |stats: &Stats| json!({"time": time, "usageCoreNanoSeconds": stats.cpu_usage_ns});
    let memory = |stats: &Stats| {
        json!({
            "time": time,
            "usageBytes": stats.memory_usage_bytes,
            "workingSetBytes": stats.memory_working_set_bytes,
            "rssBytes": stats.memory_rss_bytes,
            "pageFaults": stats.page_faults,
            "majorPageFaults": stats.major_page_faults,
        })
    };
    let mut pods: Vec<Value> = Vec::new();
    for used in uses(agent).await {
        let container =
            json!({"name": used.container, "cpu": cpu(&used.stats), "memory": memory(&used.stats)});
        let same = |pod: &&mut Value| pod["podRef"]["uid"] == used.uid;
        if let Some(pod) = pods.iter_mut().find(same) {
            pod["containers"]
                .as_array_mut()
                .into_iter()
                .for_each(|list| list.push(container.clone()));
            continue;
        }
        pods.push(json!({
            "podRef": {"name": used.pod, "namespace": used.namespace, "uid": used.uid},
            "containers": [container],
        }));
    }
    let available = machine::memory("MemAvailable").unwrap_or(0);
    let used = machine::memory("MemTotal").unwrap_or(0) - available;
    let room = machine::room(&agent.config.data_dir).unwrap_or_default();
    let node = json!({
        "nodeName": agent.config.node_name,
        "cpu": {"time": time, "usageCoreNanoSeconds": node_cpu_ns()},
        "memory": {"time": time, "availableBytes": available, "usageBytes": used, "workingSetBytes": used},
        "fs": {"time": time, "availableBytes": room.bytes_free, "capacityBytes": room.bytes,
            "usedBytes": room.bytes.saturating_sub(room.bytes_free), "inodes": room.inodes, "inodesFree": room.inodes_free},
    });
    json_answer(&json!({"node": node, "pods": pods}))
}

/// Busy time of all processors, from proc_stat(5), whose unit is 10 ms.
pub fn node_cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|n| n.parse().ok())
        .collect();
    let idle: u64 = fields.iter().skip(3).take(2).sum();
    (fields.iter().take(8).sum::<u64>() - idle) * 10_000_000
}
