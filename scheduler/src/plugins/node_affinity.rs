use k8s_openapi::api::core::v1::NodeAffinity;
use objects::node_selector::Node;

use super::Refusal;
use crate::cache::{Candidate, NodeInfo};

pub fn filter(pod: &Candidate, node: &NodeInfo) -> Result<(), Refusal> {
    if facts(node).is_wanted_by(&pod.spec.node_selector, affinity(pod)) {
        return Ok(());
    }
    Err(Refusal::node(
        "node(s) didn't match Pod's node affinity/selector",
    ))
}

/// The sum of the weights of the preferred terms that the node meets.
pub fn score(pod: &Candidate, node: &NodeInfo) -> i64 {
    let preferred = affinity(pod).and_then(|a| {
        a.preferred_during_scheduling_ignored_during_execution
            .as_ref()
    });
    preferred
        .into_iter()
        .flatten()
        .filter(|term| facts(node).matches_term(&term.preference))
        .map(|term| i64::from(term.weight))
        .sum()
}

fn affinity(pod: &Candidate) -> Option<&NodeAffinity> {
    pod.spec.affinity.as_ref()?.node_affinity.as_ref()
}

fn facts(node: &NodeInfo) -> Node<'_> {
    Node {
        name: &node.name,
        labels: &node.offer.labels,
    }
}
