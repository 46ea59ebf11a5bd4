//! What the pod wants of the pods around it, and they of it.

use std::collections::HashMap;

use super::{Context, Filter, Plugin, Prepared, Refusal, Supposed, scale};
use crate::affinity::Term;
use crate::cache::NodeInfo;
use crate::classes::Class;
use crate::cluster::Cluster;
use crate::happened::Happened;
use crate::template::Template;

pub const PLUGIN: Plugin = Plugin {
    name: "InterPodAffinity",
    weight: 2,
    prepare: Some(prepare),
    score: Some(score),
    helps,
};

const NOT_NEAR: &str = "node(s) didn't match pod affinity rules";
const TOO_NEAR: &str = "node(s) didn't match pod anti-affinity rules";
const UNWANTED: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// How many pods are meant, by topology key and value.
#[derive(Default)]
struct Places<'a>(HashMap<&'a str, HashMap<&'a str, i64>>);

impl<'a> Places<'a> {
    fn add(&mut self, key: &'a str, node: &'a NodeInfo, count: i64) {
        if let Some(value) = node.label(key) {
            *self.0.entry(key).or_default().entry(value).or_default() += count;
        }
    }

    fn get(&self, key: &str, value: &str) -> i64 {
        let values = self.0.get(key);
        let count = values.and_then(|values| values.get(value));
        count.copied().unwrap_or(0)
    }

    fn is_empty(&self) -> bool {
        self.0
            .values()
            .flat_map(HashMap::values)
            .all(|count| *count == 0)
    }

    /// What is meant near this node, all keys together.
    fn near(&self, node: &NodeInfo) -> i64 {
        let near = self
            .0
            .iter()
            .filter_map(|(key, values)| values.get(node.label(key)?));
        near.sum()
    }
}

struct Wishes<'a> {
    cluster: &'a Cluster,
    pod: &'a Template,
    /// Pods that all required terms mean.
    wanted: Places<'a>,
    unwanted: Places<'a>,
    /// Pods that do not want this one near.
    unwilling: Places<'a>,
}

fn prepare(cx: Context<'_>) -> Prepared<'_> {
    let pod = &*cx.pod.template;
    let mut wishes = Wishes {
        cluster: cx.cluster,
        pod,
        wanted: Places::default(),
        unwanted: Places::default(),
        unwilling: Places::default(),
    };
    let classes = &cx.cluster.cache.classes;
    for class in classes.with_affinity() {
        wishes.note_unwilling(class);
    }
    if !pod.affinity.required.is_empty() || !pod.affinity.required_anti.is_empty() {
        classes.all().for_each(|class| wishes.note_wanted(class));
    } else if wishes.unwilling.0.is_empty() {
        return Prepared::Skip;
    }
    Prepared::filter(wishes)
}

impl<'a> Wishes<'a> {
    fn note_unwilling(&mut self, class: &'a Class) {
        for term in &class.template.affinity.required_anti {
            if term.means(self.pod, &self.cluster.namespaces) {
                note(&mut self.unwilling, self.cluster, class, term);
            }
        }
    }

    fn note_wanted(&mut self, class: &Class) {
        if self.all_mean(&class.template) {
            for term in &self.pod.affinity.required {
                note(&mut self.wanted, self.cluster, class, term);
            }
        }
        for term in &self.pod.affinity.required_anti {
            if term.means(&class.template, &self.cluster.namespaces) {
                note(&mut self.unwanted, self.cluster, class, term);
            }
        }
    }

    /// All required terms mean such pods.
    fn all_mean(&self, pods: &Template) -> bool {
        let terms = &self.pod.affinity.required;
        let means = |term: &Term| term.means(pods, &self.cluster.namespaces);
        !terms.is_empty() && terms.iter().all(means)
    }

    fn is_near_wanted(&self, node: &NodeInfo) -> bool {
        let mut is_near = true;
        for term in &self.pod.affinity.required {
            let Some(value) = node.label(&term.topology_key) else {
                return false;
            };
            is_near &= self.wanted.get(&term.topology_key, value) > 0;
        }
        // The first of a group that wants its own kind near has to start somewhere.
        is_near || (self.wanted.is_empty() && self.all_mean(self.pod))
    }
}

fn note<'a>(places: &mut Places<'a>, cluster: &'a Cluster, class: &Class, term: &'a Term) {
    for (node, count) in class.nodes() {
        places.add(&term.topology_key, cluster.cache.node(node), count.all);
    }
}

impl Filter for Wishes<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if !self.is_near_wanted(node) {
            return Err(Refusal::lasting(NOT_NEAR));
        }
        let is_near = |term: &Term| {
            let value = node.label(&term.topology_key);
            value.is_some_and(|value| self.unwanted.get(&term.topology_key, value) > 0)
        };
        if self.pod.affinity.required_anti.iter().any(is_near) {
            return Err(Refusal::passing(TOO_NEAR));
        }
        let mut unwilling = self.unwilling.0.iter().filter_map(|(key, values)| {
            let value = node.label(key)?;
            values.get(value)
        });
        if unwilling.any(|count| *count > 0) {
            return Err(Refusal::passing(UNWANTED));
        }
        Ok(())
    }

    fn suppose(&mut self, supposed: &Supposed<'_>) {
        let (cluster, other) = (self.cluster, supposed.template);
        let node = cluster.cache.node(supposed.node);
        if self.all_mean(other) {
            for term in &self.pod.affinity.required {
                self.wanted.add(&term.topology_key, node, supposed.by);
            }
        }
        for term in &self.pod.affinity.required_anti {
            if term.means(other, &cluster.namespaces) {
                self.unwanted.add(&term.topology_key, node, supposed.by);
            }
        }
        for term in &other.affinity.required_anti {
            if term.means(self.pod, &cluster.namespaces) {
                self.unwilling.adjust(&term.topology_key, node, supposed.by);
            }
        }
    }
}

impl<'a> Places<'a> {
    /// As [`Places::add`], by a key that need not live as long.
    fn adjust(&mut self, key: &str, node: &'a NodeInfo, count: i64) {
        let label = node.offer.labels.get_key_value(key);
        if let Some((key, value)) = label {
            *self.0.entry(key).or_default().entry(value).or_default() += count;
        }
    }
}

/// The sum of the weights of what is preferred near a node, by the pod and by
/// those that are there.
fn score(cx: Context<'_>, nodes: &[&NodeInfo]) -> Option<Vec<i64>> {
    let (pod, cluster) = (&*cx.pod.template, cx.cluster);
    let classes = &cluster.cache.classes;
    let mut places = Places::default();
    if !pod.affinity.preferred.is_empty() {
        for class in classes.all() {
            weigh(
                &mut places,
                cx,
                class,
                &class.template,
                &pod.affinity.preferred,
            );
        }
    }
    for class in classes.with_affinity() {
        let theirs = &class.template.affinity;
        if !cx.profile.ignore_preferred_of_others {
            weigh(&mut places, cx, class, pod, &theirs.preferred);
        }
        let hard = cx.profile.hard_affinity_weight;
        for term in theirs.required.iter().filter(|_| hard > 0) {
            if term.means(pod, &cluster.namespaces) {
                add_weighted(&mut places, cx, class, term, hard);
            }
        }
    }
    if places.0.is_empty() {
        return None;
    }
    let sums = nodes.iter().map(|node| places.near(node));
    Some(scale::from_lowest(sums.collect()))
}

/// Adds the terms that mean `meant`, at the places of `class`.
fn weigh<'a>(
    places: &mut Places<'a>,
    cx: Context<'a>,
    class: &Class,
    meant: &Template,
    terms: &'a [(i64, Term)],
) {
    for (weight, term) in terms {
        if term.means(meant, &cx.cluster.namespaces) {
            add_weighted(places, cx, class, term, *weight);
        }
    }
}

fn add_weighted<'a>(
    places: &mut Places<'a>,
    cx: Context<'a>,
    class: &Class,
    term: &'a Term,
    weight: i64,
) {
    for (node, count) in class.nodes() {
        let node = cx.cluster.cache.node(node);
        places.add(&term.topology_key, node, count.all * weight);
    }
}

fn helps(happened: &Happened<'_>, pod: &Template) -> bool {
    match happened {
        Happened::PodPlaced(_) => !pod.affinity.required.is_empty(),
        Happened::PodLeft(left) => {
            !pod.affinity.required_anti.is_empty() || !left.affinity.required_anti.is_empty()
        }
        Happened::NamespaceLabelled => true,
        other => other.node().is_some(),
    }
}
