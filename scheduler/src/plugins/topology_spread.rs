//! How evenly the pod and its like are spread over a topology.

use std::cell::Cell;

use super::{
    Context, Filter, Plugin, Prepared, Refusal, Supposed, node_affinity, taint_toleration,
};
use crate::cache::{NodeIndex, NodeInfo, Tally};
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

/// What is counted for one constraint.
struct Counts {
    constraint: Constraint,
    /// Nodes that count, and the pods on them that the constraint selects.
    nodes: Tally,
    pods: Tally,
    takes_all: bool,
    /// The pod counts too once it is there.
    own: i64,
    least: Cell<Option<i64>>,
}

struct Spread<'a> {
    cluster: &'a Cluster,
    pod: &'a Template,
    counts: Vec<Counts>,
}

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    let required = constraints(cx, true);
    if required.is_empty() {
        return Prepared::Skip;
    }
    let pod = &*cx.pod.template;
    let counts = required
        .into_iter()
        .map(|constraint| Counts::new(constraint, cx.cluster, pod));
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

impl Counts {
    fn new(constraint: Constraint, cluster: &Cluster, pod: &Template) -> Self {
        let topology = cluster.cache.topology(&constraint.topology_key);
        Self {
            nodes: Tally::new(topology.clone()),
            pods: Tally::new(topology),
            takes_all: takes_all_nodes(&constraint, pod),
            own: i64::from(constraint.selector.matches(&pod.labels)),
            constraint,
            least: Cell::new(None),
        }
    }

    /// The count where there are fewest, or 0 where there are too few places.
    fn least(&self) -> i64 {
        if let Some(least) = self.least.get() {
            return least;
        }
        let places = self.nodes.counts().iter().zip(self.pods.counts());
        let counted = || places.clone().filter(|(nodes, _)| **nodes > 0);
        let least = if counted().count() < self.constraint.min_domains {
            0
        } else {
            counted().map(|(_, pods)| *pods).min().unwrap_or(0)
        };
        self.least.set(Some(least));
        least
    }
}

/// On which nodes so many pods are that the constraint selects; the same node
/// may come again.
fn matching<'a>(
    cluster: &'a Cluster,
    pod: &Template,
    constraint: &'a Constraint,
) -> impl Iterator<Item = (NodeIndex, i64)> {
    let classes = cluster.cache.classes.in_namespace(&pod.namespace);
    let selected = classes.filter(|class| constraint.selector.matches(&class.template.labels));
    selected.flat_map(|class| class.nodes().map(|(node, count)| (node, count.live)))
}

/// The constraint counts what is on any node.
fn takes_all_nodes(constraint: &Constraint, pod: &Template) -> bool {
    constraint.node_taints == NodePolicy::Ignore
        && (constraint.node_affinity == NodePolicy::Ignore || node_affinity::is_none(pod))
}

/// The constraint counts what is on this node.
fn counts_node(constraint: &Constraint, pod: &Template, node: &NodeInfo) -> bool {
    let ignores = |policy| policy == NodePolicy::Ignore;
    (ignores(constraint.node_affinity) || node_affinity::matches(pod, node))
        && (ignores(constraint.node_taints) || taint_toleration::tolerates_hard(pod, node))
}

impl Spread<'_> {
    fn count(&mut self) {
        let cluster = self.cluster;
        for at in 0..self.counts.len() {
            let nodes = cluster.cache.indices();
            let nodes: Vec<NodeIndex> = nodes.filter(|node| self.counts(at, *node)).collect();
            let pods = matching(cluster, self.pod, &self.counts[at].constraint);
            let pods: Vec<_> = pods.filter(|(node, _)| self.counts(at, *node)).collect();
            let counts = &mut self.counts[at];
            nodes.iter().for_each(|node| counts.nodes.add(*node, 1));
            pods.iter()
                .for_each(|(node, count)| counts.pods.add(*node, *count));
        }
    }

    /// The node counts for a constraint; one that lacks a key of any constraint
    /// counts for none.
    fn counts(&self, at: usize, node: NodeIndex) -> bool {
        let counts = &self.counts[at];
        let mut all = self.counts.iter();
        all.all(|counts| counts.nodes.topology.place(node).is_some())
            && (counts.takes_all
                || counts_node(&counts.constraint, self.pod, self.cluster.cache.node(node)))
    }
}

impl Filter for Spread<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        for counts in &self.counts {
            let Some(here) = counts.pods.at(node.index) else {
                return Err(Refusal::lasting(NO_LABEL));
            };
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
        for at in 0..self.counts.len() {
            let is_counted = self.counts(at, supposed.node);
            let counts = &mut self.counts[at];
            let selector = &counts.constraint.selector;
            if is_counted && selector.matches(&supposed.template.labels) {
                counts.pods.add(supposed.node, supposed.by);
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
