//! What the conditions of a silent node say.

use k8s_openapi::api::core::v1::NodeCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::object::Node;

pub const READY: &str = "Ready";
/// Conditions that only the node itself knows.
const TOLD: [&str; 4] = [READY, "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The conditions of a node that has been silent for too long; none where
/// they say so already.
pub fn silent(node: &Node, now: jiff::Timestamp) -> Option<Vec<NodeCondition>> {
    let mut conditions = node.status.conditions.clone();
    for type_ in TOLD {
        match conditions.iter_mut().find(|c| c.type_ == type_) {
            Some(condition) if condition.status == "Unknown" => {}
            Some(condition) => become_unknown(condition, now),
            None => conditions.push(never_told(type_, node, now)),
        }
    }
    (conditions != node.status.conditions).then_some(conditions)
}

fn become_unknown(condition: &mut NodeCondition, now: jiff::Timestamp) {
    condition.status = "Unknown".into();
    condition.reason = Some("NodeStatusUnknown".into());
    condition.message = Some("Kubelet stopped posting node status.".into());
    condition.last_transition_time = Some(Time(now));
}

fn never_told(type_: &str, node: &Node, now: jiff::Timestamp) -> NodeCondition {
    NodeCondition {
        type_: type_.into(),
        status: "Unknown".into(),
        reason: Some("NodeStatusNeverUpdated".into()),
        message: Some("Kubelet never posted node status.".into()),
        last_heartbeat_time: node.metadata.creation_timestamp.clone(),
        last_transition_time: Some(Time(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(conditions: serde_json::Value) -> Node {
        serde_json::from_value(
            json!({ "metadata": { "name": "n" }, "status": { "conditions": conditions } }),
        )
        .unwrap()
    }

    fn of<'a>(conditions: &'a [NodeCondition], type_: &str) -> &'a NodeCondition {
        conditions.iter().find(|c| c.type_ == type_).unwrap()
    }

    #[test]
    fn silent_node_is_in_an_unknown_state() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let node = node(json!([
            { "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2025-01-01T00:00:00Z" },
            { "type": "NetworkUnavailable", "status": "False" }]));
        let conditions = silent(&node, now).unwrap();
        let ready = of(&conditions, "Ready");
        assert_eq!(ready.status, "Unknown");
        assert_eq!(ready.reason.as_deref(), Some("NodeStatusUnknown"));
        assert_eq!(ready.last_transition_time, Some(Time(now)));
        assert_ne!(ready.last_heartbeat_time, Some(Time(now)));
        assert_eq!(
            of(&conditions, "PIDPressure").reason.as_deref(),
            Some("NodeStatusNeverUpdated")
        );
        assert_eq!(of(&conditions, "NetworkUnavailable").status, "False");
    }

    #[test]
    fn nothing_is_written_twice() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let mut node = node(json!([]));
        node.status.conditions = silent(&node, now).unwrap();
        assert_eq!(silent(&node, "2026-01-01T00:02:00Z".parse().unwrap()), None);
    }
}
