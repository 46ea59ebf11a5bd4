//! What is to be done next for a DaemonSet: first that each node has what it
//! should, then the replacement of pods of an older template, at the pace of
//! the strategy.

use std::sync::Arc;

use apimachinery::int_or_percent::{Rounding, resolve};
use serde_json::Value;

use super::{Place, Verdict, View, is_ending};
use crate::object::Pod;

/// Pods made, and pods deleted, by one reconcile.
const MOST_AT_ONCE: usize = 250;

#[derive(Debug, Default)]
pub struct Plan {
    /// Nodes that get a pod.
    pub create: Vec<String>,
    /// Pods that go, and from where.
    pub delete: Vec<(Arc<Pod>, Why, String)>,
}

/// Why a pod is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Failed,
    Succeeded,
    /// It is one too many, at the wrong place, or of an older template.
    Surplus,
}

/// How far a rollout may stray from one pod on each node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slack {
    surge: usize,
    unavailable: usize,
}

pub fn plan(view: &View) -> Plan {
    let mut plan = Plan::default();
    let slack = slack(view);
    for place in &view.places {
        place.settle(view, slack, &mut plan);
    }
    if plan.create.is_empty() && plan.delete.is_empty() && !view.set.is_on_delete() {
        match slack {
            Slack {
                surge: 0,
                unavailable,
            } => replace(view, unavailable, &mut plan),
            Slack { surge, .. } => surge_over(view, surge, &mut plan),
        }
    }
    plan.create.truncate(MOST_AT_ONCE);
    plan.delete.truncate(MOST_AT_ONCE);
    plan
}

/// The pod of today's template at one place, and that of an older one.
#[derive(Default)]
struct Pair<'a> {
    new: Option<&'a Arc<Pod>>,
    old: Option<&'a Arc<Pod>>,
}

impl Plan {
    fn delete(&mut self, pod: &Arc<Pod>, why: Why, place: &Place) {
        self.delete.push((pod.clone(), why, place.node.clone()));
    }
}

impl Place {
    fn settle(&self, view: &View, slack: Slack, plan: &mut Plan) {
        let staying = || self.pods.iter().filter(|pod| !is_ending(pod));
        match self.verdict {
            Verdict::Runs if self.pods.is_empty() => plan.create.push(self.node.clone()),
            Verdict::Runs | Verdict::Keeps => self.keep_one(view, slack, plan),
            Verdict::Refuses => {
                staying().for_each(|pod| plan.delete(pod, Why::Surplus, self));
            }
            // Pods that were there are for the pod garbage collector.
            Verdict::NoNode => staying()
                .filter(|pod| pod.spec.node_name.is_none())
                .for_each(|pod| plan.delete(pod, Why::Surplus, self)),
        }
    }

    fn keep_one(&self, view: &View, slack: Slack, plan: &mut Plan) {
        let mut running: Vec<&Arc<Pod>> = Vec::new();
        for pod in self.pods.iter().filter(|pod| !is_ending(pod)) {
            match pod.status.phase.as_deref() {
                Some("Failed") if view.resting.contains(&self.node) => {}
                Some("Failed") => plan.delete(pod, Why::Failed, self),
                Some("Succeeded") => plan.delete(pod, Why::Succeeded, self),
                _ => running.push(pod),
            }
        }
        if slack.surge == 0 {
            let surplus = running.iter().skip(1);
            surplus.for_each(|pod| plan.delete(pod, Why::Surplus, self));
        } else if running.is_empty() {
            let has_failed = self.pods.iter().any(|pod| pod.is_finished());
            if self.verdict == Verdict::Runs && !has_failed {
                plan.create.push(self.node.clone());
            }
        } else if running.len() > 1 {
            self.keep_pair(view, &running, plan);
        }
    }

    /// While a rollout surges, an old pod that is ready stays until a new one
    /// is available.
    fn keep_pair(&self, view: &View, running: &[&Arc<Pod>], plan: &mut Plan) {
        let (mut new, mut old) = (None, None);
        for pod in running {
            let first = if view.is_updated(pod) {
                &mut new
            } else {
                &mut old
            };
            match first {
                None => *first = Some(*pod),
                Some(_) => plan.delete(pod, Why::Surplus, self),
            }
        }
        if let (Some(new), Some(old)) = (new, old)
            && (!old.is_ready() || view.is_available(new))
        {
            plan.delete(old, Why::Surplus, self);
        }
    }

    /// None where there are more than one of either.
    fn pair(&self, view: &View) -> Option<Pair<'_>> {
        let mut pair = Pair::default();
        for pod in self.pods.iter().filter(|pod| !is_ending(pod)) {
            let which = match view.is_updated(pod) {
                true => &mut pair.new,
                false => &mut pair.old,
            };
            if which.replace(pod).is_some() {
                return None;
            }
        }
        Some(pair)
    }
}

/// Deletes as many old pods as may be unavailable; those that are so already
/// cost nothing.
fn replace(view: &View, max_unavailable: usize, plan: &mut Plan) {
    let mut unavailable = 0;
    let mut candidates = Vec::new();
    for place in rolled(view) {
        match place.pair(view).map(|pair| (pair.new, pair.old)) {
            Some((Some(new), None)) if view.is_available(new) => {}
            Some((None, Some(old))) if view.is_available(old) => candidates.push((place, old)),
            Some((None, Some(old))) if view.resting.contains(&place.node) && old.is_finished() => {
                unavailable += 1;
            }
            Some((None, Some(old))) => plan.delete(old, Why::Surplus, place),
            _ => unavailable += 1,
        }
    }
    let budget = max_unavailable.saturating_sub(unavailable);
    for (place, old) in candidates.into_iter().take(budget) {
        plan.delete(old, Why::Surplus, place);
    }
}

/// Makes new pods beside as many old ones as allowed; where an old one is not
/// available, a new one costs nothing.
fn surge_over(view: &View, max_surge: usize, plan: &mut Plan) {
    let mut surging = 0;
    let mut candidates = Vec::new();
    for place in rolled(view) {
        match place.pair(view).map(|pair| (pair.new, pair.old)) {
            None => surging += 1,
            Some((_, None)) => {}
            Some((None, Some(_))) if place.verdict != Verdict::Runs => {}
            Some((None, Some(old))) if view.is_available(old) => candidates.push(place),
            Some((None, Some(_))) => plan.create.push(place.node.clone()),
            Some((Some(new), Some(old))) if view.is_available(new) => {
                plan.delete(old, Why::Surplus, place);
            }
            Some(_) => surging += 1,
        }
    }
    let budget = max_surge.saturating_sub(surging);
    for place in candidates.into_iter().take(budget) {
        plan.create.push(place.node.clone());
    }
}

/// The places that a rollout looks at: where pods are, or should be.
fn rolled(view: &View) -> impl Iterator<Item = &Place> {
    let places = view.places.iter();
    places.filter(|place| place.verdict == Verdict::Runs || !place.pods.is_empty())
}

/// A set that may go neither up nor down could not move; it may go down by one.
fn slack(view: &View) -> Slack {
    if view.set.is_on_delete() {
        return Slack {
            surge: 0,
            unavailable: 0,
        };
    }
    let runs = |place: &&Place| place.verdict == Verdict::Runs;
    let total = view.places.iter().filter(runs).count();
    let rolling = view.set.spec.update_strategy.rolling_update.as_ref();
    let count = |value: Option<&Value>| {
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        let count = value.and_then(|value| resolve(value, total, Rounding::Up));
        usize::try_from(count.unwrap_or(0)).unwrap_or(0)
    };
    let surge = count(rolling.map(|r| &r.max_surge));
    let unavailable = count(rolling.map(|r| &r.max_unavailable));
    let is_stuck = surge == 0 && unavailable == 0;
    Slack {
        surge,
        unavailable: if is_stuck { 1 } else { unavailable },
    }
}

#[cfg(test)]
mod tests;
