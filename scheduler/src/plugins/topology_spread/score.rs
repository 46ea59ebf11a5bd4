//! Where the pod had better go, for the evenness it would like.
//!
//! Asked of every pod, by default of each over hosts and zones: it looks at the
//! nodes that have pods of the kind and at those that are rated, at no others.

use std::sync::Arc;

use super::{Constraint, constraints, counts_node, matching, takes_all_nodes};
use crate::cache::{NodeIndex, NodeInfo, Tally, Topology};
use crate::plugins::{Context, scale};

const HOSTNAME: &str = "kubernetes.io/hostname";

/// What all constraints look at.
struct Rated<'a> {
    cx: Context<'a>,
    nodes: &'a [&'a NodeInfo],
    /// One a constraint.
    topologies: Vec<Arc<Topology>>,
    /// Nodes without one of the keys do not count.
    needs_all: bool,
}

/// The fewer of the pod's like are near, the better; how much a constraint
/// counts grows with the places its topology has.
pub fn score(cx: Context<'_>, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let wanted = constraints(cx, false);
    if wanted.is_empty() {
        return None;
    }
    let topology = |constraint: &Constraint| cx.cluster.cache.topology(&constraint.topology_key);
    let rated = Rated {
        cx,
        nodes,
        topologies: wanted.iter().map(topology).collect(),
        needs_all: !cx.pod.template.spread.is_empty() || cx.profile.spread.needs_all_keys(),
    };
    let counted: Vec<bool> = nodes.iter().map(|node| rated.counts(node.index)).collect();
    let mut totals = vec![0.0; nodes.len()];
    for (constraint, topology) in wanted.iter().zip(&rated.topologies) {
        if &*constraint.topology_key == HOSTNAME {
            rated.add_hosts(constraint, topology, &counted, &mut totals);
        } else {
            rated.add_places(constraint, topology, &counted, &mut totals);
        }
    }
    let totals: Vec<i64> = totals
        .iter()
        .map(|total: &f64| total.round() as i64)
        .collect();
    Some(fewest_first(&totals, &counted))
}

impl Rated<'_> {
    fn counts(&self, node: NodeIndex) -> bool {
        let mut all = self.topologies.iter();
        !self.needs_all || all.all(|topology| topology.place(node).is_some())
    }

    /// Each host is a place of its own.
    fn add_hosts(
        &self,
        constraint: &Constraint,
        topology: &Topology,
        counted: &[bool],
        totals: &mut [f64],
    ) {
        let cluster = self.cx.cluster;
        let mut on_node = vec![0; cluster.cache.indices_end()];
        for (node, count) in matching(cluster, &self.cx.pod.template, constraint) {
            on_node[node.at()] += count;
        }
        let weight = weight(counted.iter().filter(|counted| **counted).count());
        for (node, total) in self.nodes.iter().zip(totals) {
            if topology.place(node.index).is_some() {
                *total += rate(on_node[node.index.at()], weight, constraint);
            }
        }
    }

    fn add_places(
        &self,
        constraint: &Constraint,
        topology: &Arc<Topology>,
        counted: &[bool],
        totals: &mut [f64],
    ) {
        let (pod, cluster) = (&*self.cx.pod.template, self.cx.cluster);
        let takes_all = takes_all_nodes(constraint, pod);
        let mut tally = Tally::new(topology.clone());
        for (node, count) in matching(cluster, pod, constraint) {
            let counts = || takes_all || counts_node(constraint, pod, cluster.cache.node(node));
            if self.counts(node) && counts() {
                tally.add(node, count);
            }
        }
        let weight = weight(self.places(topology, counted));
        for (node, total) in self.nodes.iter().zip(totals) {
            if let Some(count) = tally.at(node.index) {
                *total += rate(count, weight, constraint);
            }
        }
    }

    /// In how many places the nodes are; those in none are in one together.
    fn places(&self, topology: &Arc<Topology>, counted: &[bool]) -> usize {
        let mut nodes = Tally::new(topology.clone());
        let mut is_any_elsewhere = false;
        for (node, _) in self
            .nodes
            .iter()
            .zip(counted)
            .filter(|(_, counted)| **counted)
        {
            nodes.add(node.index, 1);
            is_any_elsewhere |= topology.place(node.index).is_none();
        }
        let places = nodes.counts().iter().filter(|nodes| **nodes > 0).count();
        places + usize::from(is_any_elsewhere)
    }
}

fn weight(places: usize) -> f64 {
    ((places + 2) as f64).ln()
}

fn rate(count: i64, weight: f64, constraint: &Constraint) -> f64 {
    count as f64 * weight + (constraint.max_skew - 1) as f64
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
