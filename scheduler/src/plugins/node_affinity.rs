use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm};

use super::{Context, Filter, Plugin, Prepared, Refusal, scale};
use crate::cache::NodeInfo;
use crate::happened::Happened;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "NodeAffinity",
    weight: 2,
    prepare: Some(prepare),
    score: Some(score),
    helps,
};

struct Wanted<'a> {
    pod: &'a Template,
    /// Of the profile: for every pod.
    added: Option<&'a NodeAffinity>,
    only: Option<Vec<String>>,
}

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    let pod = &cx.pod.template;
    let added = cx.profile.added_affinity.as_ref();
    if added.is_none() && is_none(pod) {
        return Prepared::Skip;
    }
    let only = required(pod).and_then(names);
    if only.as_ref().is_some_and(Vec::is_empty) {
        return Prepared::Refused(Refusal::lasting("pod affinity terms conflict"));
    }
    Prepared::filter(Wanted { pod, added, only })
}

impl Filter for Wanted<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let facts = node.facts();
        if self.added.is_some() && !facts.is_wanted_by(&Default::default(), self.added) {
            let reason = "node(s) didn't match scheduler-enforced node affinity";
            return Err(Refusal::lasting(reason));
        }
        if matches(self.pod, node) {
            return Ok(());
        }
        let reason = "node(s) didn't match Pod's node affinity/selector";
        Err(Refusal::lasting(reason))
    }

    fn only(&self) -> Option<&[String]> {
        self.only.as_deref()
    }
}

/// The node meets what the pod requires of nodes.
pub fn matches(pod: &Template, node: &NodeInfo) -> bool {
    let affinity = pod.spec.affinity.node_affinity.as_ref();
    node.facts().is_wanted_by(&pod.spec.node_selector, affinity)
}

/// The pod requires nothing of nodes.
pub fn is_none(pod: &Template) -> bool {
    pod.spec.node_selector.is_empty() && required(pod).is_none()
}

fn required(pod: &Template) -> Option<&[NodeSelectorTerm]> {
    let affinity = pod.spec.affinity.node_affinity.as_ref()?;
    let required = affinity
        .required_during_scheduling_ignored_during_execution
        .as_ref()?;
    Some(&required.node_selector_terms)
}

/// The nodes' names, if every term asks for nodes by name, as DaemonSets do.
fn names(terms: &[NodeSelectorTerm]) -> Option<Vec<String>> {
    let mut all = BTreeSet::new();
    for term in terms {
        let fields = term.match_fields.iter().flatten();
        let mut by_name = fields.filter(|r| r.key == "metadata.name" && r.operator == "In");
        let first = values(by_name.next()?);
        let of_all = by_name.fold(first, |names, next| &names & &values(next));
        all.extend(of_all);
    }
    Some(all.into_iter().cloned().collect())
}

fn values(requirement: &NodeSelectorRequirement) -> BTreeSet<&String> {
    requirement.values.iter().flatten().collect()
}

/// The sum of the weights of the preferred terms that the node meets.
fn score(cx: Context<'_>, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let own = cx.pod.template.spec.affinity.node_affinity.as_ref();
    let all = own.into_iter().chain(cx.profile.added_affinity.as_ref());
    let preferred = all.flat_map(|affinity| {
        let terms = &affinity.preferred_during_scheduling_ignored_during_execution;
        terms.iter().flatten()
    });
    let terms: Vec<_> = preferred.collect();
    if terms.is_empty() {
        return None;
    }
    let sum = |node: &&NodeInfo| {
        let met = terms
            .iter()
            .filter(|t| node.facts().matches_term(&t.preference));
        met.map(|term| i64::from(term.weight)).sum()
    };
    Some(scale::to_highest(nodes.iter().map(sum).collect()))
}

fn helps(happened: &Happened<'_>, pod: &Template) -> bool {
    happened.node().is_some_and(|node| matches(pod, node))
}
