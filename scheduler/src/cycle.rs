//! One scheduling decision: filter, score, choose.

use std::collections::BTreeMap;

use crate::cache::{Cache, Candidate, NodeInfo};
use crate::plugins::{FILTERS, Refusal, SCORES, Scale, Scorer, Wakeup};

/// Below this many nodes all are looked at; above it, a share of them that
/// shrinks with their number, as Kubernetes' `percentageOfNodesToScore` has it.
const ALWAYS_LOOK_AT: usize = 100;

/// Why no node would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unschedulable {
    pub message: String,
    pub wakeup: Wakeup,
}

/// Picks the node for `pod`. `offset` turns with every decision, so that
/// nodes past the look-at limit get their turn and equals take turns.
pub fn choose(cache: &Cache, pod: &Candidate, offset: usize) -> Result<String, Unschedulable> {
    let nodes: Vec<&NodeInfo> = cache.nodes().collect();
    let mut refusals = Vec::new();
    let feasible = feasible_nodes(&nodes, pod, offset, &mut refusals);
    match best(&feasible, pod) {
        Some(node) => Ok(node.name.clone()),
        None => Err(unschedulable(nodes.len(), &refusals)),
    }
}

fn feasible_nodes<'a>(
    nodes: &[&'a NodeInfo],
    pod: &Candidate,
    offset: usize,
    refusals: &mut Vec<Refusal>,
) -> Vec<&'a NodeInfo> {
    let enough = enough_nodes(nodes.len());
    let mut feasible = Vec::with_capacity(enough);
    for i in 0..nodes.len() {
        let node = nodes[(offset + i) % nodes.len()];
        match FILTERS.iter().try_for_each(|filter| filter(pod, node)) {
            Ok(()) => feasible.push(node),
            Err(refusal) => refusals.push(refusal),
        }
        if feasible.len() == enough {
            break;
        }
    }
    feasible
}

fn enough_nodes(all: usize) -> usize {
    if all <= ALWAYS_LOOK_AT {
        return all;
    }
    let percent = 50usize.saturating_sub(all / 125).max(5);
    (all * percent / 100).max(ALWAYS_LOOK_AT)
}

fn best<'a>(feasible: &[&'a NodeInfo], pod: &Candidate) -> Option<&'a NodeInfo> {
    if let [only] = feasible {
        return Some(only);
    }
    let mut totals = vec![0i64; feasible.len()];
    for scorer in SCORES {
        add_scores(scorer, feasible, pod, &mut totals);
    }
    // The first of equals wins; which that is turns with the offset.
    let mut winner = None;
    for (node, total) in feasible.iter().zip(totals) {
        if winner.is_none_or(|(_, most)| total > most) {
            winner = Some((*node, total));
        }
    }
    winner.map(|(node, _)| node)
}

fn add_scores(scorer: &Scorer, nodes: &[&NodeInfo], pod: &Candidate, totals: &mut [i64]) {
    let raw: Vec<i64> = nodes.iter().map(|n| (scorer.score)(pod, n)).collect();
    let highest = raw.iter().copied().max().unwrap_or(0);
    for (total, score) in totals.iter_mut().zip(raw) {
        let scaled = match scorer.scale {
            Scale::AsIs => score,
            Scale::ToHighest if highest > 0 => score * 100 / highest,
            Scale::Reversed if highest > 0 => 100 - score * 100 / highest,
            Scale::ToHighest => 0,
            Scale::Reversed => 100,
        };
        *total += scorer.weight * scaled;
    }
}

fn unschedulable(nodes: usize, refusals: &[Refusal]) -> Unschedulable {
    if nodes == 0 {
        return Unschedulable {
            message: "no nodes available to schedule pods".into(),
            wakeup: Wakeup::Node,
        };
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in refusals.iter().flat_map(|r| &r.reasons) {
        *counts.entry(reason).or_default() += 1;
    }
    let mut texts: Vec<String> = counts.iter().map(|(r, n)| format!("{n} {r}")).collect();
    texts.sort();
    let freed = refusals.iter().any(|r| r.wakeup == Wakeup::NodeOrPod);
    Unschedulable {
        message: format!("0/{nodes} nodes are available: {}.", texts.join(", ")),
        wakeup: if freed {
            Wakeup::NodeOrPod
        } else {
            Wakeup::Node
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cluster(nodes: &[(&str, &str)]) -> Cache {
        let mut cache = Cache::default();
        for (name, cpu) in nodes {
            let node = json!({ "metadata": { "name": name },
                "status": { "allocatable": { "cpu": cpu, "memory": "8Gi", "pods": "110" } } });
            cache.set_node(&serde_json::from_value(node).unwrap());
        }
        cache
    }

    fn pod(name: &str, cpu: &str) -> Candidate {
        let pod = json!({ "metadata": { "name": name, "namespace": "d" },
            "spec": { "containers": [{ "resources": { "requests": { "cpu": cpu } } }] } });
        Candidate::new(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn pod_goes_to_the_node_with_the_most_room() {
        let mut cache = cluster(&[("a", "4"), ("b", "4")]);
        cache.assume(&pod("first", "2"), "a");
        assert_eq!(choose(&cache, &pod("p", "1"), 0).unwrap(), "b");
    }

    #[test]
    fn equal_nodes_take_turns() {
        let cache = cluster(&[("a", "4"), ("b", "4")]);
        assert_eq!(choose(&cache, &pod("p", "1"), 0).unwrap(), "a");
        assert_eq!(choose(&cache, &pod("p", "1"), 1).unwrap(), "b");
    }

    #[test]
    fn refusal_counts_the_nodes_by_reason_in_kubernetes_words() {
        let cache = cluster(&[("a", "1"), ("b", "1")]);
        let refused = choose(&cache, &pod("p", "2"), 0).unwrap_err();
        assert_eq!(
            refused.message,
            "0/2 nodes are available: 2 Insufficient cpu."
        );
        let empty = choose(&Cache::default(), &pod("p", "2"), 0).unwrap_err();
        assert_eq!(empty.message, "no nodes available to schedule pods");
    }

    #[test]
    fn large_clusters_are_looked_at_in_part() {
        assert_eq!(enough_nodes(100), 100);
        assert_eq!(enough_nodes(500), 230);
        assert_eq!(enough_nodes(5000), 500);
    }
}
