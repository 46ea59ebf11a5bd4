//! What the pod wants of the pods around it, and they of it.

use super::{Context, Filter, Plugin, Prepared, Refusal, Supposed, scale};
use crate::affinity::Term;
use crate::cache::{NodeInfo, Tally};
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

/// How many pods are meant, by topology key and place.
#[derive(Default)]
struct Places(Vec<(Box<str>, Tally)>);

impl Places {
    fn by(&mut self, key: &str, cluster: &Cluster) -> &mut Tally {
        let known = self.0.iter().position(|(known, _)| **known == *key);
        let at = known.unwrap_or_else(|| {
            let tally = Tally::new(cluster.cache.topology(key));
            self.0.push((key.into(), tally));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    /// None where the node lacks the label.
    fn get(&self, key: &str, node: &NodeInfo) -> Option<i64> {
        let (_, tally) = self.0.iter().find(|(known, _)| **known == *key)?;
        tally.at(node.index)
    }

    fn is_empty(&self) -> bool {
        let mut counts = self.0.iter().flat_map(|(_, tally)| tally.counts());
        counts.all(|count| *count == 0)
    }

    /// What is meant near this node, all keys together.
    fn near(&self, node: &NodeInfo) -> i64 {
        let near = self.0.iter().filter_map(|(_, tally)| tally.at(node.index));
        near.sum()
    }
}

struct Wishes<'a> {
    cluster: &'a Cluster,
    pod: &'a Template,
    /// Pods that all required terms mean.
    wanted: Places,
    unwanted: Places,
    /// Pods that do not want this one near.
    unwilling: Places,
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

impl Wishes<'_> {
    fn note_unwilling(&mut self, class: &Class) {
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
            if node.label(&term.topology_key).is_none() {
                return false;
            }
            is_near &= self.wanted.get(&term.topology_key, node) > Some(0);
        }
        // The first of a group that wants its own kind near has to start somewhere.
        is_near || (self.wanted.is_empty() && self.all_mean(self.pod))
    }
}

fn note(places: &mut Places, cluster: &Cluster, class: &Class, term: &Term) {
    add_weighted(places, cluster, class, term, 1);
}

impl Filter for Wishes<'_> {
    fn check(&self, node: &NodeInfo) -> Result<(), Refusal> {
        if !self.is_near_wanted(node) {
            return Err(Refusal::lasting(NOT_NEAR));
        }
        let is_near = |term: &Term| self.unwanted.get(&term.topology_key, node) > Some(0);
        if self.pod.affinity.required_anti.iter().any(is_near) {
            return Err(Refusal::passing(TOO_NEAR));
        }
        let mut unwilling = self.unwilling.0.iter();
        if unwilling.any(|(_, tally)| tally.at(node.index) > Some(0)) {
            return Err(Refusal::passing(UNWANTED));
        }
        Ok(())
    }

    fn suppose(&mut self, supposed: &Supposed<'_>) {
        let (cluster, other, node) = (self.cluster, supposed.template, supposed.node);
        if self.all_mean(other) {
            for term in &self.pod.affinity.required {
                let wanted = self.wanted.by(&term.topology_key, cluster);
                wanted.add(node, supposed.by);
            }
        }
        for term in &self.pod.affinity.required_anti {
            if term.means(other, &cluster.namespaces) {
                let unwanted = self.unwanted.by(&term.topology_key, cluster);
                unwanted.add(node, supposed.by);
            }
        }
        for term in &other.affinity.required_anti {
            if term.means(self.pod, &cluster.namespaces) {
                let unwilling = self.unwilling.by(&term.topology_key, cluster);
                unwilling.add(node, supposed.by);
            }
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
                add_weighted(&mut places, cluster, class, term, hard);
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
fn weigh(
    places: &mut Places,
    cx: Context<'_>,
    class: &Class,
    meant: &Template,
    terms: &[(i64, Term)],
) {
    for (weight, term) in terms {
        if term.means(meant, &cx.cluster.namespaces) {
            add_weighted(places, cx.cluster, class, term, *weight);
        }
    }
}

fn add_weighted(places: &mut Places, cluster: &Cluster, class: &Class, term: &Term, weight: i64) {
    let tally = places.by(&term.topology_key, cluster);
    for (node, count) in class.nodes() {
        tally.add(node, count.all * weight);
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
