//! How evenly the pod and its like are spread over a topology.

use std::cell::Cell;
use std::collections::HashMap;

use super::{
    Context, Filter, Plugin, Prepared, Refusal, Supposed, node_affinity, taint_toleration,
};
use crate::cache::{NodeIndex, NodeInfo};
use crate::cluster::Cluster;
use crate::happened::Happened;
use crate::spread::{Constraint, NodePolicy};
use crate::template::Template;

mod score;

pub const PLUGIN: Plugin = Plugin {
    name: "PodTopologySpread",
    weight: 2,
    prepare: Some(prepare),
    score: Some(score::score),
    helps,
};

const UNEVEN: &str = "node(s) didn't match pod topology spread constraints";
const NO_LABEL: &str =
    "node(s) didn't match pod topology spread constraints (missing required label)";

/// What is counted for one constraint, by value of its topology key.
struct Counts<'a> {
    constraint: Constraint,
    by_value: HashMap<&'a str, i64>,
    /// The pod counts too once it is there.
    own: i64,
    least: Cell<Option<i64>>,
}

struct Spread<'a> {
    cluster: &'a Cluster,
    pod: &'a Template,
    counts: Vec<Counts<'a>>,
}

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    let required = constraints(cx, true);
    if required.is_empty() {
        return Prepared::Skip;
    }
    let pod = &*cx.pod.template;
    let counts = required.into_iter().map(|c| Counts::new(c, pod));
    let mut spread = Spread {
        cluster: cx.cluster,
        pod,
        counts: counts.collect(),
    };
    spread.count();
    Prepared::filter(spread)
}

/// The pod's own constraints, or else those of the profile.
fn constraints(cx: Context<'_>, is_required: bool) -> Vec<Constraint> {
    let pod = &*cx.pod.template;
    let own = pod.spread.iter().filter(|c| c.is_required == is_required);
    if !pod.spread.is_empty() {
        return own.cloned().collect();
    }
    let defaults = cx.profile.spread.constraints();
    let mut defaults = defaults
        .iter()
        .filter(|c| c.is_required == is_required)
        .peekable();
    if defaults.peek().is_none() {
        return Vec::new();
    }
    let Some(selector) = cx.cluster.workloads.replicas_of(pod) else {
        return Vec::new();
    };
    let with_selector = defaults.map(|constraint| Constraint {
        selector: selector.clone(),
        ..constraint.clone()
    });
    with_selector.collect()
}

impl<'a> Counts<'a> {
    fn new(constraint: Constraint, pod: &Template) -> Self {
        let own = i64::from(constraint.selector.matches(&pod.labels));
        Self {
            constraint,
            by_value: HashMap::new(),
            own,
            least: Cell::new(None),
        }
    }

    /// The count where there are fewest, or 0 where there are too few places.
    fn least(&self) -> i64 {
        if let Some(least) = self.least.get() {
            return least;
        }
        let least = if self.by_value.len() < self.constraint.min_domains {
            0
        } else {
            self.by_value.values().copied().min().unwrap_or(0)
        };
        self.least.set(Some(least));
        least
    }
}

/// How many pods that the constraint selects are on each node.
fn matching(cluster: &Cluster, pod: &Template, constraint: &Constraint) -> HashMap<NodeIndex, i64> {
    let mut found = HashMap::new();
    for class in cluster.cache.classes.in_namespace(&pod.namespace) {
        if constraint.selector.matches(&class.template.labels) {
            for (node, count) in class.nodes() {
                *found.entry(node).or_default() += count.live;
            }
        }
    }
    found
}

/// The constraint counts what is on this node.
fn counts_node(constraint: &Constraint, pod: &Template, node: &NodeInfo) -> bool {
    let ignores = |policy| policy == NodePolicy::Ignore;
    (ignores(constraint.node_affinity) || node_affinity::matches(pod, node))
        && (ignores(constraint.node_taints) || taint_toleration::tolerates_hard(pod, node))
}

impl<'a> Spread<'a> {
    fn count(&mut self) {
        let cluster = self.cluster;
        for at in 0..self.counts.len() {
            let found = matching(cluster, self.pod, &self.counts[at].constraint);
            for node in cluster.cache.nodes() {
                let Some(value) = self.counted_value(at, node) else {
                    continue;
                };
                let count = found.get(&node.index).copied().unwrap_or(0);
                *self.counts[at].by_value.entry(value).or_default() += count;
            }
        }
    }

    /// Where the node counts for a constraint; one that lacks a key of any
    /// constraint counts for none.
    fn counted_value<'n>(&self, at: usize, node: &'n NodeInfo) -> Option<&'n str> {
        let constraint = &self.counts[at].constraint;
        let mut keys = self.counts.iter().map(|c| &c.constraint.topology_key);
        let has_all = self.counts.len() == 1 || keys.all(|key| node.label(key).is_some());
        let value = node.label(&constraint.topology_key)?;
        (has_all && counts_node(constraint, self.pod, node)).then_some(value)
    }
}

impl Filter for Spread<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        for counts in &self.counts {
            let Some(value) = node.label(&counts.constraint.topology_key) else {
                return Err(Refusal::lasting(NO_LABEL));
            };
            let here = counts.by_value.get(value).copied().unwrap_or(0);
            if here + counts.own - counts.least() > counts.constraint.max_skew {
                return Err(Refusal::passing(UNEVEN));
            }
        }
        Ok(())
    }

    fn suppose(&mut self, supposed: &Supposed<'_>) {
        if supposed.is_ending || supposed.template.namespace != self.pod.namespace {
            return;
        }
        let node = self.cluster.cache.node(supposed.node);
        for at in 0..self.counts.len() {
            let value = self.counted_value(at, node);
            let counts = &mut self.counts[at];
            let selector = &counts.constraint.selector;
            if selector.matches(&supposed.template.labels)
                && let Some(count) = value.and_then(|value| counts.by_value.get_mut(value))
            {
                *count += supposed.by;
                counts.least.set(None);
            }
        }
    }
}

fn helps(happened: &Happened<'_>, pod: &Template) -> bool {
    let selects = |other: &Template| {
        other.namespace == pod.namespace
            && (pod.spread.is_empty()
                || pod.spread.iter().any(|c| c.selector.matches(&other.labels)))
    };
    match happened {
        Happened::PodPlaced(other) | Happened::PodLeft(other) => selects(other),
        Happened::NodeRemoved => true,
        other => other.node().is_some(),
    }
}
