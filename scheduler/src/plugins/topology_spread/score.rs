//! Where the pod had better go, for the evenness it would like.

use std::collections::HashMap;

use super::{Constraint, constraints, counts_node, matching};
use crate::cache::NodeInfo;
use crate::plugins::{Context, scale};

const HOSTNAME: &str = "kubernetes.io/hostname";

/// The fewer of the pod's like are near, the better; how much a constraint
/// counts grows with the places its topology has.
pub fn score(cx: Context<'_>, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let wanted = constraints(cx, false);
    if wanted.is_empty() {
        return None;
    }
    let needs_all = !cx.pod.template.spread.is_empty() || cx.profile.spread.needs_all_keys();
    let has_all = |node: &NodeInfo| {
        let mut keys = wanted.iter().map(|c| &c.topology_key);
        !needs_all || keys.all(|key| node.label(key).is_some())
    };
    let counted: Vec<bool> = nodes.iter().map(|node| has_all(node)).collect();
    let mut totals = vec![0.0; nodes.len()];
    for constraint in &wanted {
        add(cx, constraint, nodes, &counted, &mut totals);
    }
    let totals: Vec<i64> = totals
        .iter()
        .map(|total: &f64| total.round() as i64)
        .collect();
    Some(fewest_first(&totals, &counted))
}

fn add(
    cx: Context<'_>,
    constraint: &Constraint,
    nodes: &[&NodeInfo],
    counted: &[bool],
    totals: &mut [f64],
) {
    let (pod, cluster) = (&*cx.pod.template, cx.cluster);
    let found = matching(cluster, pod, constraint);
    let key = &*constraint.topology_key;
    let is_host = key == HOSTNAME;
    let mut by_value: HashMap<&str, i64> = HashMap::new();
    for (node, _) in nodes.iter().zip(counted).filter(|(_, counted)| **counted) {
        by_value.extend(node.label(key).map(|value| (value, 0)));
    }
    if !is_host {
        for node in cluster.cache.nodes() {
            let here = node.label(key).and_then(|value| by_value.get_mut(value));
            let count = found.get(&node.index).copied().unwrap_or(0);
            if let Some(here) = here.filter(|_| count > 0 && counts_node(constraint, pod, node)) {
                *here += count;
            }
        }
    }
    let weight = ((by_value.len() + 2) as f64).ln();
    for (node, total) in nodes.iter().zip(totals) {
        let Some(value) = node.label(key) else {
            continue;
        };
        let count = if is_host {
            found.get(&node.index)
        } else {
            by_value.get(value)
        };
        let count = count.copied().unwrap_or(0) as f64;
        *total += count * weight + (constraint.max_skew - 1) as f64;
    }
}

/// The lowest becomes 100; nodes that do not count get 0.
fn fewest_first(totals: &[i64], counted: &[bool]) -> Vec<i64> {
    let of_counted = || {
        totals
            .iter()
            .zip(counted)
            .filter(|(_, c)| **c)
            .map(|(t, _)| *t)
    };
    let lowest = of_counted().min().unwrap_or(0);
    let highest = of_counted().max().unwrap_or(0);
    let scaled = totals
        .iter()
        .zip(counted)
        .map(|(total, counted)| match counted {
            false => 0,
            true if highest == 0 => scale::HIGHEST,
            true => scale::HIGHEST * (highest + lowest - total) / highest,
        });
    scaled.collect()
}
