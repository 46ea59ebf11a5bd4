//! Whether a node has room, and which of those that have is best.

use std::borrow::Cow;

use super::{Context, Plugin, Prepared, Refusal};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::requests::{Amounts, Requests, Resource};
use crate::scoring::{Scoring, Strategy};
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "NodeResourcesFit",
    weight: 1,
    prepare: Some(prepare),
    score: Some(score),
    helps,
};

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    Prepared::check(cx.pod, check)
}

fn check(pod: &Template, node: &NodeInfo) -> Result<(), Refusal> {
    let mut shortages = Shortages::default();
    if node.pods.len() + 1 > node.offer.allowed_pods {
        shortages.reasons.push("Too many pods".into());
    }
    let want = &pod.requests.amounts;
    shortages.note(node, Resource::Cpu, want.milli_cpu);
    shortages.note(node, Resource::Memory, want.memory);
    shortages.note(node, Resource::EphemeralStorage, want.ephemeral_storage);
    for (name, amount) in &want.others {
        shortages.note(node, Resource::Other(name.as_str().into()), *amount);
    }
    if shortages.reasons.is_empty() {
        return Ok(());
    }
    Err(Refusal {
        reasons: shortages.reasons,
        is_final: shortages.is_final,
    })
}

#[derive(Default)]
struct Shortages {
    reasons: Vec<Cow<'static, str>>,
    /// The node would be too small if it were empty.
    is_final: bool,
}

impl Shortages {
    fn note(&mut self, node: &NodeInfo, resource: Resource, want: i64) {
        if want <= 0 {
            return;
        }
        let have = node.offer.allocatable.get(&resource);
        let free = have.saturating_sub(node.requested.get(&resource));
        if want <= free {
            return;
        }
        self.is_final |= want > have;
        self.reasons.push(match resource {
            Resource::Cpu => "Insufficient cpu".into(),
            Resource::Memory => "Insufficient memory".into(),
            other => format!("Insufficient {}", other.name()).into(),
        });
    }
}

/// By the strategy of the profile.
fn score(cx: Context<'_>, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let scoring = &cx.profile.fit;
    let pod = &cx.pod.template.requests;
    let scores = nodes.iter().map(|node| rate(scoring, pod, node));
    Some(scores.collect())
}

fn rate(scoring: &Scoring, pod: &Requests, node: &NodeInfo) -> i64 {
    let (mut sum, mut weights) = (0, 0);
    for (resource, weight) in &scoring.resources {
        let have = node.offer.allocatable.get(resource);
        let Some(used) = used_with(pod, node, resource).filter(|_| have > 0) else {
            continue;
        };
        let score = scoring.strategy.rate(used, have);
        if score == 0 && matches!(scoring.strategy, Strategy::Ratio(_)) {
            continue;
        }
        sum += score * weight;
        weights += weight;
    }
    match weights {
        0 => 0,
        weights if matches!(scoring.strategy, Strategy::Ratio(_)) => (sum + weights / 2) / weights,
        weights => sum / weights,
    }
}

/// What is taken of a node with the pod on it; pods that ask for nothing are
/// taken to need some CPU and memory. `None`: not the pod's concern.
fn used_with(pod: &Requests, node: &NodeInfo, resource: &Resource) -> Option<i64> {
    let sum = |a: i64, b: i64| Some(a.saturating_add(b));
    match resource {
        Resource::Cpu => sum(node.scored_milli_cpu, pod.scored_milli_cpu),
        Resource::Memory => sum(node.scored_memory, pod.scored_memory),
        other => {
            let own = pod.amounts.get(other);
            let is_asked = own > 0 || !matches!(other, Resource::Other(_));
            let total = sum(node.requested.get(other), own);
            total.filter(|_| is_asked)
        }
    }
}

fn helps(happened: &Happened<'_>, pod: &Template) -> bool {
    let want = &pod.requests.amounts;
    match happened {
        Happened::NodeAdded(node) => is_room(want, &node.offer.allocatable),
        Happened::NodeChanged { before, now } => {
            (before.allocatable != now.offer.allocatable
                || before.allowed_pods != now.offer.allowed_pods)
                && is_room(want, &now.offer.allocatable)
        }
        Happened::PodLeft(_) => true,
        _ => false,
    }
}

fn is_room(want: &Amounts, have: &Amounts) -> bool {
    want.milli_cpu <= have.milli_cpu
        && want.memory <= have.memory
        && want.ephemeral_storage <= have.ephemeral_storage
        && want.others.iter().all(|(name, amount)| {
            let have = have.others.get(name).copied();
            *amount <= have.unwrap_or(0)
        })
}
