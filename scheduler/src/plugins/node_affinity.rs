use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};

use super::Refusal;
use crate::cache::{Candidate, NodeInfo};

pub fn filter(pod: &Candidate, node: &NodeInfo) -> Result<(), Refusal> {
    if selects(pod, node) && required_affinity(pod, node) {
        return Ok(());
    }
    Err(Refusal::node(
        "node(s) didn't match Pod's node affinity/selector",
    ))
}

/// The sum of the weights of the preferred terms that the node meets.
pub fn score(pod: &Candidate, node: &NodeInfo) -> i64 {
    let affinity = pod
        .spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref());
    let preferred = affinity
        .and_then(|a| {
            a.preferred_during_scheduling_ignored_during_execution
                .as_ref()
        })
        .into_iter()
        .flatten();
    preferred
        .filter(|term| meets(&term.preference, node))
        .map(|term| i64::from(term.weight))
        .sum()
}

fn selects(pod: &Candidate, node: &NodeInfo) -> bool {
    let selector = &pod.spec.node_selector;
    selector
        .iter()
        .all(|(k, v)| node.offer.labels.get(k) == Some(v))
}

fn required_affinity(pod: &Candidate, node: &NodeInfo) -> bool {
    let affinity = pod
        .spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref());
    let required = affinity.and_then(|a| {
        a.required_during_scheduling_ignored_during_execution
            .as_ref()
    });
    match required {
        None => true,
        Some(selector) => selector.node_selector_terms.iter().any(|t| meets(t, node)),
    }
}

/// A term without any requirement meets nothing.
fn meets(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions
        .iter()
        .all(|r| holds(r, node.offer.labels.get(&r.key).map(String::as_str)))
        && fields
            .iter()
            .all(|r| r.key == "metadata.name" && holds(r, Some(&node.name)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = || value.is_some_and(|v| values.iter().any(|w| w == v));
    match requirement.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => numbers(value, values).is_some_and(|(have, want)| have > want),
        "Lt" => numbers(value, values).is_some_and(|(have, want)| have < want),
        _ => false,
    }
}

fn numbers(value: Option<&str>, values: &[String]) -> Option<(i64, i64)> {
    Some((value?.parse().ok()?, values.first()?.parse().ok()?))
}
