//! One scheduling decision: filter, score, choose.

use crate::cache::{NodeIndex, NodeInfo};
use crate::filters::{Filters, Refused};
use crate::nominations::Nominations;
use crate::plugins::{ALL, Context, Refusal, Set};

pub mod diagnosis;

use diagnosis::Diagnosis;

/// Below this many nodes all are looked at; above it, a share of them that
/// shrinks with their number, as Kubernetes' `percentageOfNodesToScore` has it.
const ALWAYS_LOOK_AT: usize = 100;

/// Picks the node for the pod. `turn` moves on with every decision, so that
/// nodes past the look-at limit get their turn and equals take turns.
///
/// # Errors
/// Why no node would do.
pub fn choose(
    cx: Context<'_>,
    nominations: &Nominations,
    turn: &mut usize,
) -> Result<NodeIndex, Diagnosis> {
    let all = cx.cluster.cache.nodes().len();
    let mut diagnosis = Diagnosis::new(all);
    if all == 0 {
        return Err(diagnosis);
    }
    let mut filters = match Filters::prepare(cx, nominations) {
        Ok(filters) => filters,
        Err(refused) => return Err(diagnosis.refused_everywhere(refused)),
    };
    if let Some(node) = nominated(cx, &mut filters) {
        return Ok(node.index);
    }
    let feasible = match filters.only() {
        Some((plugin, names)) => among(cx, &mut filters, &names, plugin, &mut diagnosis),
        None => feasible(cx, &mut filters, turn, &mut diagnosis),
    };
    best(cx, &feasible).map(|node| node.index).ok_or(diagnosis)
}

/// The node that was cleared for the pod, if the pod can go there now.
fn nominated<'a>(cx: Context<'a>, filters: &mut Filters<'a>) -> Option<&'a NodeInfo> {
    let name = cx.pod.nominated.as_ref()?;
    let node = cx.cluster.cache.find(name)?;
    filters.check(node).is_ok().then_some(node)
}

/// The nodes of these names that would do.
fn among<'a>(
    cx: Context<'a>,
    filters: &mut Filters<'a>,
    names: &[String],
    plugin: usize,
    diagnosis: &mut Diagnosis,
) -> Vec<&'a NodeInfo> {
    let known = names.iter().filter_map(|name| cx.cluster.cache.find(name));
    let feasible = known.filter(|node| diagnosis.note(node.index, filters.check(node)));
    let feasible = feasible.collect();
    let reason = format!("node(s) didn't satisfy plugin(s) [{}]", ALL[plugin].name);
    diagnosis.refused_others((plugin, Refusal::lasting(reason)));
    feasible
}

fn feasible<'a>(
    cx: Context<'a>,
    filters: &mut Filters<'a>,
    turn: &mut usize,
    diagnosis: &mut Diagnosis,
) -> Vec<&'a NodeInfo> {
    let all = cx.cluster.cache.nodes().len();
    let enough = enough_nodes(all, cx.profile.look_at);
    let mut feasible = Vec::with_capacity(enough);
    let start = *turn % all;
    let mut looked_at = 0;
    while looked_at < all && feasible.len() < enough {
        let node = cx.cluster.cache.node_at((start + looked_at) % all);
        looked_at += 1;
        if diagnosis.note(node.index, filters.check(node)) {
            feasible.push(node);
        }
    }
    *turn = start + (looked_at % all).max(1);
    feasible
}

fn enough_nodes(all: usize, percent: Option<usize>) -> usize {
    if all <= ALWAYS_LOOK_AT {
        return all;
    }
    let fewer_of_many = || 50usize.saturating_sub(all / 125).max(5);
    let percent = percent.unwrap_or_else(fewer_of_many).min(100);
    (all * percent / 100).max(ALWAYS_LOOK_AT)
}

fn best<'a>(cx: Context<'_>, feasible: &[&'a NodeInfo]) -> Option<&'a NodeInfo> {
    if let [only] = feasible {
        return Some(only);
    }
    let mut totals = vec![0i64; feasible.len()];
    for (at, weight) in &cx.profile.scores {
        let scores = ALL[*at].score.and_then(|score| score(cx, feasible));
        for (total, score) in totals.iter_mut().zip(scores.into_iter().flatten()) {
            *total += weight * score;
        }
    }
    // The first of equals wins; which that is turns with every decision.
    let mut winner = None;
    for (node, total) in feasible.iter().zip(totals) {
        if winner.is_none_or(|(_, most)| total > most) {
            winner = Some((*node, total));
        }
    }
    winner.map(|(node, _)| node)
}

impl Diagnosis {
    /// Notes what was found of a node; true if it would do.
    fn note(&mut self, node: NodeIndex, checked: Result<(), Refused>) -> bool {
        match checked {
            Ok(()) => true,
            Err(refused) => {
                self.refused(node, refused);
                false
            }
        }
    }

    /// The plugins that something has to happen for.
    pub fn refused_by(&self) -> Set {
        if self.all == 0 {
            Set::NO_NODES
        } else {
            self.plugins
        }
    }
}

#[cfg(test)]
mod tests;
