//! Which pods go first when there are too many.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use crate::object::Pod;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Orders pods so that those whose loss hurts least come first: without a
/// node, not running, not ready, cheap by annotation, doubled up on a node,
/// ready for a short time, often restarted, young.
pub fn by_loss(pods: &mut [Arc<Pod>]) {
    let mut on_node: HashMap<String, usize> = HashMap::new();
    for pod in pods.iter() {
        if let Some(node) = &pod.spec.node_name {
            *on_node.entry(node.clone()).or_default() += 1;
        }
    }
    pods.sort_by_cached_key(|pod| {
        let node = pod.spec.node_name.as_ref();
        let doubled = node.and_then(|n| on_node.get(n)).copied().unwrap_or(0);
        (
            node.is_some(),
            phase_rank(pod),
            pod.is_ready(),
            deletion_cost(pod),
            Reverse(doubled),
            Reverse(pod.ready_since()),
            Reverse(pod.status.restarts),
            Reverse(pod.metadata.creation_timestamp.as_ref().map(|t| t.0)),
        )
    });
}

fn phase_rank(pod: &Pod) -> u8 {
    match pod.status.phase.as_deref() {
        Some("Running") => 2,
        Some("Unknown") => 1,
        _ => 0,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    let cost = annotations.and_then(|a| a.get(DELETION_COST));
    cost.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, spec: Value, status: Value) -> Arc<Pod> {
        let pod = json!({ "metadata": { "name": name }, "spec": spec, "status": status });
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn ready(since: &str) -> Value {
        json!({ "phase": "Running", "conditions": [
            { "type": "Ready", "status": "True", "lastTransitionTime": since }] })
    }

    #[test]
    fn pods_whose_loss_hurts_least_come_first() {
        let mut pods = [
            pod(
                "old-and-ready",
                json!({ "nodeName": "a" }),
                ready("2026-01-01T00:00:00Z"),
            ),
            pod(
                "young-and-ready",
                json!({ "nodeName": "b" }),
                ready("2026-02-01T00:00:00Z"),
            ),
            pod(
                "running",
                json!({ "nodeName": "c" }),
                json!({ "phase": "Running" }),
            ),
            pod(
                "pending",
                json!({ "nodeName": "d" }),
                json!({ "phase": "Pending" }),
            ),
            pod("unassigned", json!({}), json!({ "phase": "Pending" })),
        ];
        by_loss(&mut pods);
        let names: Vec<_> = pods
            .iter()
            .map(|p| p.metadata.name.as_deref().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "unassigned",
                "pending",
                "running",
                "young-and-ready",
                "old-and-ready"
            ]
        );
    }

    #[test]
    fn of_two_ready_pods_the_one_that_shares_its_node_goes_first() {
        let since = "2026-01-01T00:00:00Z";
        let mut pods = [
            pod("alone", json!({ "nodeName": "a" }), ready(since)),
            pod("doubled", json!({ "nodeName": "b" }), ready(since)),
            pod("doubled-too", json!({ "nodeName": "b" }), ready(since)),
        ];
        by_loss(&mut pods);
        assert_eq!(pods[2].metadata.name.as_deref(), Some("alone"));
    }
}
