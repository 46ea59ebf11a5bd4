//! From a node's conditions to the taints that keep pods away from it.

use k8s_openapi::api::core::v1::Taint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::health::READY;
use crate::object::Node;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Conditions that, when true, taint.
const TROUBLES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    (
        "NetworkUnavailable",
        "node.kubernetes.io/network-unavailable",
    ),
];

/// The taints the node should have: ours as its conditions ask for, and all
/// others as they are. Pods are driven off only where `may_evict`.
pub fn wanted(node: &Node, may_evict: bool, now: jiff::Timestamp) -> Vec<Taint> {
    let ours = called_for(node, may_evict);
    let is_kept = |taint: &&Taint| {
        !is_ours(taint) || ours.contains(&(taint.key.as_str(), taint.effect.as_str()))
    };
    let mut taints: Vec<Taint> = node.spec.taints.iter().filter(is_kept).cloned().collect();
    for (key, effect) in ours {
        if !taints.iter().any(|t| t.key == key && t.effect == effect) {
            taints.push(Taint {
                key: key.into(),
                effect: effect.into(),
                time_added: Some(Time(now)),
                value: None,
            });
        }
    }
    taints
}

fn called_for(node: &Node, may_evict: bool) -> Vec<(&'static str, &'static str)> {
    let mut taints = Vec::new();
    let ready = node.condition(READY).map(|c| c.status.as_str());
    let key = match ready {
        Some("True") => None,
        Some("Unknown") => Some(UNREACHABLE),
        _ => Some(NOT_READY),
    };
    if let Some(key) = key {
        taints.push((key, NO_SCHEDULE));
        // A node that never said anything runs nothing yet.
        if may_evict && ready.is_some() {
            taints.push((key, NO_EXECUTE));
        }
    }
    for (condition, key) in TROUBLES {
        if node
            .condition(condition)
            .is_some_and(|c| c.status == "True")
        {
            taints.push((key, NO_SCHEDULE));
        }
    }
    if node.spec.unschedulable {
        taints.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    taints
}

fn is_ours(taint: &Taint) -> bool {
    let key = taint.key.as_str();
    match taint.effect.as_str() {
        NO_EXECUTE => matches!(key, NOT_READY | UNREACHABLE),
        NO_SCHEDULE => {
            matches!(key, NOT_READY | UNREACHABLE | UNSCHEDULABLE)
                || TROUBLES.iter().any(|(_, trouble)| *trouble == key)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(ready: &str, spec: Value) -> Node {
        serde_json::from_value(json!({ "metadata": { "name": "n" }, "spec": spec,
            "status": { "conditions": [{ "type": "Ready", "status": ready }] } }))
        .unwrap()
    }

    fn taints(node: &Node, may_evict: bool) -> Vec<(String, String)> {
        let wanted = wanted(node, may_evict, jiff::Timestamp::UNIX_EPOCH);
        wanted.into_iter().map(|t| (t.key, t.effect)).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = list.iter().map(|(k, e)| ((*k).to_owned(), (*e).to_owned()));
        owned.collect()
    }

    #[test]
    fn silent_node_is_unreachable_and_one_that_says_no_is_not_ready() {
        assert_eq!(
            taints(&node("Unknown", json!({})), true),
            pairs(&[(UNREACHABLE, NO_SCHEDULE), (UNREACHABLE, NO_EXECUTE)])
        );
        assert_eq!(
            taints(&node("False", json!({})), true),
            pairs(&[(NOT_READY, NO_SCHEDULE), (NOT_READY, NO_EXECUTE)])
        );
    }

    #[test]
    fn nobody_is_driven_off_when_no_node_is_well() {
        assert_eq!(
            taints(&node("Unknown", json!({})), false),
            pairs(&[(UNREACHABLE, NO_SCHEDULE)])
        );
    }

    #[test]
    fn node_that_is_back_loses_our_taints_and_keeps_those_of_others() {
        let spec = json!({ "taints": [
            { "key": UNREACHABLE, "effect": NO_EXECUTE, "timeAdded": "2026-01-01T00:00:00Z" },
            { "key": UNREACHABLE, "effect": NO_SCHEDULE },
            { "key": "team", "value": "x", "effect": NO_SCHEDULE }] });
        assert_eq!(
            taints(&node("True", spec), true),
            pairs(&[("team", NO_SCHEDULE)])
        );
    }

    #[test]
    fn taint_that_stays_keeps_its_time() {
        let spec = json!({ "taints": [
            { "key": UNREACHABLE, "effect": NO_SCHEDULE, "timeAdded": "2026-01-01T00:00:00Z" },
            { "key": UNREACHABLE, "effect": NO_EXECUTE, "timeAdded": "2026-01-01T00:00:00Z" }] });
        let node = node("Unknown", spec);
        assert_eq!(
            wanted(&node, true, jiff::Timestamp::now()),
            node.spec.taints
        );
    }

    #[test]
    fn pressure_and_cordon_keep_new_pods_away() {
        let mut node = node("True", json!({ "unschedulable": true }));
        let pressure = json!({ "type": "MemoryPressure", "status": "True" });
        node.status
            .conditions
            .push(serde_json::from_value(pressure).unwrap());
        assert_eq!(
            taints(&node, true),
            pairs(&[
                ("node.kubernetes.io/memory-pressure", NO_SCHEDULE),
                (UNSCHEDULABLE, NO_SCHEDULE)
            ])
        );
    }
}
