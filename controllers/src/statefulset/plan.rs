//! What is to be done next for a StatefulSet: first the pods that should be
//! there, lowest first; then those too many, highest first; then those of an
//! older template, highest first. An ordered set takes one step at a time, and
//! none while a pod before it is not available.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::int_or_percent::{Rounding, resolve};

use super::{View, identity, is_ending};
use crate::object::Pod;
use crate::revision;

/// Pods made by one reconcile.
const MOST_AT_ONCE: usize = 500;

#[derive(Debug)]
pub enum Step {
    Create(i64),
    /// The pod lacks labels of its place.
    Identify(Arc<Pod>, i64),
    /// The pod has come to its end, which those of a StatefulSet never do: it
    /// goes, and another one takes its place.
    Replace(Arc<Pod>),
    /// The pod is one too many, or of an older template.
    Remove(Arc<Pod>),
}

/// Whether the stages after this one may go on.
#[derive(PartialEq, Eq)]
enum Stage {
    Over,
    Awaited,
}

pub fn steps(view: &View) -> Vec<Step> {
    let mut steps = Vec::new();
    if fill(view, &mut steps) == Stage::Awaited || shrink(view, &mut steps) == Stage::Awaited {
        return steps;
    }
    if !view.set.is_on_delete() {
        update(view, &mut steps);
    }
    steps
}

/// Whether a missing pod is still of the template before the update.
pub fn is_current_needed(view: &View, ordinal: i64) -> bool {
    if view.set.is_on_delete() {
        return false;
    }
    let index = ordinal - view.set.ordinals().start;
    match &view.set.spec.update_strategy.rolling_update {
        Some(rolling) => index < rolling.partition.into(),
        None => index < view.set.status.current_replicas.unwrap_or(0).into(),
    }
}

fn fill(view: &View, steps: &mut Vec<Step>) -> Stage {
    let ordered = view.set.is_ordered();
    let pods: BTreeMap<i64, &Arc<Pod>> = wanted(view).collect();
    for ordinal in view.set.ordinals() {
        match pods.get(&ordinal) {
            None => steps.push(Step::Create(ordinal)),
            Some(pod) if pod.is_finished() => {
                if !is_ending(pod) {
                    steps.push(Step::Replace(Arc::clone(pod)));
                }
            }
            Some(pod) if view.is_available(pod) => {
                if !identity::has_labels(&view.set, pod, ordinal) {
                    steps.push(Step::Identify(Arc::clone(pod), ordinal));
                }
                continue;
            }
            Some(_) => {}
        }
        if ordered {
            return Stage::Awaited;
        }
        if steps.len() >= MOST_AT_ONCE {
            break;
        }
    }
    Stage::Over
}

fn shrink(view: &View, steps: &mut Vec<Step>) -> Stage {
    let ordered = view.set.is_ordered();
    let range = view.set.ordinals();
    let condemned: Vec<&Arc<Pod>> = ordinals(view)
        .filter(|(ordinal, _)| !range.contains(ordinal))
        .map(|(_, pod)| pod)
        .collect();
    let lowest_unwell = condemned.iter().find(|pod| !view.is_available(pod));
    for pod in condemned.iter().rev() {
        let is_unwell = !view.is_available(pod);
        let is_lowest = lowest_unwell.is_some_and(|lowest| Arc::ptr_eq(lowest, pod));
        if ordered && (is_ending(pod) || is_unwell && !is_lowest) {
            return Stage::Awaited;
        }
        if is_ending(pod) {
            continue;
        }
        steps.push(Step::Remove(Arc::clone(pod)));
        if ordered {
            return Stage::Awaited;
        }
    }
    Stage::Over
}

/// Pods of an older template that are not available anyway go first where
/// order does not matter: none is lost by it.
fn update(view: &View, steps: &mut Vec<Step>) {
    let first = view.set.ordinals().start + view.set.partition();
    let is_old = |pod: &Pod| revision::of_pod(pod) != Some(view.update.name()) && !is_ending(pod);
    let well = wanted(view)
        .filter(|(_, pod)| view.is_available(pod))
        .count();
    let unwell = i64::from(view.set.spec.replicas) - i64::try_from(well).unwrap_or(i64::MAX);
    let mut budget = max_unavailable(view) - unwell;
    let outdated: Vec<(i64, &Arc<Pod>)> = wanted(view)
        .filter(|(ordinal, pod)| *ordinal >= first && is_old(pod) && !pod.is_finished())
        .collect();
    for (_, pod) in outdated.into_iter().rev() {
        let costs = view.set.is_ordered() || view.is_available(pod);
        if costs {
            if budget <= 0 {
                continue;
            }
            budget -= 1;
        }
        steps.push(Step::Remove(Arc::clone(pod)));
    }
}

/// How many pods an update may have unavailable: one, or as many as asked for.
fn max_unavailable(view: &View) -> i64 {
    let rolling = view.set.spec.update_strategy.rolling_update.as_ref();
    let asked = rolling.map(|r| &r.max_unavailable).filter(|v| !v.is_null());
    let total = i64::from(view.set.spec.replicas);
    let count = asked.and_then(|value| resolve(value, total, Rounding::Down));
    count.unwrap_or(1).max(1)
}

fn ordinals(view: &View) -> impl Iterator<Item = (i64, &Arc<Pod>)> {
    let pods = view.pods.iter();
    pods.filter_map(|pod| Some((identity::ordinal(&view.set, pod)?, pod)))
}

fn wanted(view: &View) -> impl Iterator<Item = (i64, &Arc<Pod>)> {
    let range = view.set.ordinals();
    ordinals(view).filter(move |(ordinal, _)| range.contains(ordinal))
}

#[cfg(test)]
mod tests;
