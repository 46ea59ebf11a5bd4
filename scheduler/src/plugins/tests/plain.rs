//! Topologies are counted in quick ways; here are the rules as Kubernetes words
//! them, node by node and pod by pod, to hold them against.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::topology::{HOST, ZONE};
use super::*;
use crate::cache::NodeInfo;
use crate::plugins::{Prepared, Supposed, inter_pod_affinity, topology_spread};

const RACK: &str = "rack";
const KEYS: [&str; 3] = [HOST, ZONE, RACK];

#[derive(Debug, Clone)]
struct Node {
    name: String,
    labels: BTreeMap<&'static str, String>,
    is_tainted: bool,
}

#[derive(Debug, Clone)]
struct Placed {
    on: usize,
    is_app: bool,
    is_ending: bool,
    /// The key of a topology in which it wants no `app`.
    away: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Rule {
    key: &'static str,
    max_skew: i64,
    min_domains: Option<usize>,
    honors_affinity: bool,
    honors_taints: bool,
}

#[derive(Debug, Clone)]
struct Model {
    nodes: Vec<Node>,
    /// Nodes that are there no more; pods may still be on them.
    gone: BTreeSet<usize>,
    pods: Vec<Placed>,
    /// Of the pod that is looked at.
    is_app: bool,
    wants_ssd: bool,
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&KEYS[..])
}

prop_compose! {
    fn a_node()(
        zone in prop::option::weighted(0.8, 0..4), rack in prop::option::of(0..3),
        has_host in prop::bool::weighted(0.9), is_ssd in any::<bool>(), is_tainted in prop::bool::weighted(0.2),
    ) -> (BTreeMap<&'static str, String>, bool, bool) {
        let zone = zone.map(|zone| (ZONE, format!("z{zone}")));
        let rack = rack.map(|rack| (RACK, format!("r{rack}")));
        let ssd = is_ssd.then(|| ("disk", "ssd".to_owned()));
        (zone.into_iter().chain(rack).chain(ssd).collect(), has_host, is_tainted)
    }
}

prop_compose! {
    fn a_pod(nodes: usize)(
        on in 0..nodes, is_app in any::<bool>(), is_ending in prop::bool::weighted(0.1),
        away in prop::option::weighted(0.1, key()),
    ) -> Placed {
        Placed { on, is_app, is_ending, away }
    }
}

prop_compose! {
    fn a_rule()(
        key in key(), max_skew in 1..4i64, min_domains in prop::option::weighted(0.2, 1..5usize),
        honors_affinity in any::<bool>(), honors_taints in any::<bool>(),
    ) -> Rule {
        Rule { key, max_skew, min_domains, honors_affinity, honors_taints }
    }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let rules = prop::collection::vec(a_rule(), 1..4);
    rules.prop_map(|rules| {
        // Two constraints of one key and effect are refused by the API server.
        let by_key = rules.into_iter().map(|rule| (rule.key, rule));
        by_key.collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

prop_compose! {
    fn models()(nodes in prop::collection::vec(a_node(), 1..12))(
        gone in prop::collection::btree_set(0..nodes.len(), 0..3),
        pods in prop::collection::vec(a_pod(nodes.len()), 0..40),
        nodes in Just(nodes), is_app in any::<bool>(), wants_ssd in prop::bool::weighted(0.3),
    ) -> Model {
        let nodes = nodes.into_iter().enumerate().map(|(at, (mut labels, has_host, is_tainted))| {
            let name = format!("n{at:02}");
            if has_host {
                labels.insert(HOST, name.clone());
            }
            Node { name, labels, is_tainted }
        });
        Model { nodes: nodes.collect(), gone, pods, is_app, wants_ssd }
    }
}

impl Node {
    fn object(&self, labels: &BTreeMap<&str, String>) -> Value {
        let mut object = node(&self.name, json!(labels));
        if self.is_tainted {
            object["spec"] = json!({ "taints": [{ "key": "k", "effect": "NoSchedule" }] });
        }
        object
    }
}

impl Model {
    /// Some nodes have had other labels before, so that what is kept by place
    /// has to follow.
    fn world(&self) -> World {
        let mut world = World::new(self.nodes.iter().rev().map(|n| n.object(&BTreeMap::new())));
        for key in KEYS {
            world.cluster.cache.topology(key);
        }
        for (at, pod) in self.pods.iter().enumerate() {
            world.place(self.placed(at), &self.nodes[pod.on].name);
        }
        for node in &self.nodes {
            world.set_node(node.object(&node.labels));
        }
        for at in &self.gone {
            world.cluster.cache.remove_node(&self.nodes[*at].name);
        }
        world.cluster.cache.sort_nodes();
        world
    }

    fn placed(&self, at: usize) -> Value {
        let placed = &self.pods[at];
        let app = if placed.is_app { "x" } else { "y" };
        let mut spec = json!({});
        if let Some(key) = placed.away {
            spec["affinity"] = json!({ "podAntiAffinity": terms(&[key]) });
        }
        let mut object = pod(&format!("p{at}"), json!({ "app": app }), spec);
        if placed.is_ending {
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        object
    }

    fn pod(&self, mut spec: Value) -> Value {
        if self.wants_ssd {
            spec["nodeSelector"] = json!({ "disk": "ssd" });
        }
        let app = if self.is_app { "x" } else { "y" };
        pod("p", json!({ "app": app }), spec)
    }

    fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(|(at, _)| !self.gone.contains(at))
    }

    fn counts(&self, rule: &Rule, node: &Node) -> bool {
        let is_wanted = !self.wants_ssd || node.labels.contains_key("disk");
        (is_wanted || !rule.honors_affinity) && (!node.is_tainted || !rule.honors_taints)
    }

    fn apps_on(&self, on: usize) -> i64 {
        let apps = self
            .pods
            .iter()
            .filter(|p| p.on == on && p.is_app && !p.is_ending);
        i64::try_from(apps.count()).unwrap()
    }

    /// The counted pods by value of the rule's key.
    fn by_value(&self, rules: &[Rule], rule: &Rule, needs_all: bool) -> BTreeMap<&str, i64> {
        let mut counts = BTreeMap::new();
        for (at, node) in self.nodes() {
            let has_all = !needs_all || rules.iter().all(|r| node.labels.contains_key(r.key));
            let value = node.labels.get(rule.key);
            if let Some(value) = value.filter(|_| has_all && self.counts(rule, node)) {
                *counts.entry(value.as_str()).or_default() += self.apps_on(at);
            }
        }
        counts
    }

    fn refusal(&self, rules: &[Rule], node: &Node) -> Option<&'static str> {
        for rule in rules {
            let Some(value) = node.labels.get(rule.key) else {
                return Some(
                    "node(s) didn't match pod topology spread constraints (missing required label)",
                );
            };
            let counts = self.by_value(rules, rule, true);
            let enough = counts.len() >= rule.min_domains.unwrap_or(1);
            let least = counts
                .values()
                .copied()
                .min()
                .filter(|_| enough)
                .unwrap_or(0);
            let here = counts.get(value.as_str()).copied().unwrap_or(0);
            if here + i64::from(self.is_app) - least > rule.max_skew {
                return Some("node(s) didn't match pod topology spread constraints");
            }
        }
        None
    }

    fn scores(&self, rules: &[Rule], needs_all: bool) -> Vec<i64> {
        let ignored = |n: &Node| needs_all && !rules.iter().all(|r| n.labels.contains_key(r.key));
        let mut totals: Vec<f64> = self.nodes().map(|_| 0.0).collect();
        for rule in rules {
            let counts = self.by_value(rules, rule, needs_all);
            let rated = self.nodes().filter(|(_, node)| !ignored(node));
            let values: Vec<Option<&String>> =
                rated.map(|(_, node)| node.labels.get(rule.key)).collect();
            let size = match rule.key {
                HOST => values.len(),
                _ => values.iter().collect::<BTreeSet<_>>().len(),
            };
            for ((at, node), total) in self.nodes().zip(&mut totals) {
                let Some(value) = node.labels.get(rule.key) else {
                    continue;
                };
                let count = match rule.key {
                    HOST => self.apps_on(at),
                    _ => counts.get(value.as_str()).copied().unwrap_or(0),
                };
                *total += count as f64 * (size as f64 + 2.0).ln() + (rule.max_skew - 1) as f64;
            }
        }
        let totals: Vec<i64> = totals.iter().map(|total| total.round() as i64).collect();
        let is_ignored: Vec<bool> = self.nodes().map(|(_, node)| ignored(node)).collect();
        let rated = || {
            totals
                .iter()
                .zip(&is_ignored)
                .filter(|(_, i)| !**i)
                .map(|(t, _)| *t)
        };
        let (most, least) = (rated().max().unwrap_or(0), rated().min().unwrap_or(0));
        let scores = totals
            .iter()
            .zip(&is_ignored)
            .map(|(total, is_ignored)| match most {
                _ if *is_ignored => 0,
                0 => 100,
                most => 100 * (most + least - total) / most,
            });
        scores.collect()
    }

    /// Some pod that `counts` is in the same place of the topology as `node`.
    fn is_near(&self, key: &str, node: &Node, counts: impl Fn(&Placed) -> bool) -> bool {
        let Some(value) = node.labels.get(key) else {
            return false;
        };
        let mut near = self
            .nodes()
            .filter(|(_, n)| n.labels.get(key) == Some(value));
        near.any(|(at, _)| self.pods.iter().any(|pod| pod.on == at && counts(pod)))
    }

    fn keeps_off(&self, near: &[&str], away: &[&str], node: &Node) -> Option<&'static str> {
        let has_all = near.iter().all(|key| node.labels.contains_key(*key));
        let is_app = |pod: &Placed| pod.is_app;
        let are_near = near.iter().all(|key| self.is_near(key, node, is_app));
        let is_any = self
            .nodes()
            .any(|(_, n)| near.iter().any(|key| self.is_near(key, n, is_app)));
        if !has_all || (!are_near && (is_any || !self.is_app)) {
            return Some("node(s) didn't match pod affinity rules");
        }
        if away.iter().any(|key| self.is_near(key, node, is_app)) {
            return Some("node(s) didn't match pod anti-affinity rules");
        }
        let is_unwilling =
            |key| self.is_app && self.is_near(key, node, |pod| pod.away == Some(key));
        KEYS.iter()
            .any(|key| is_unwilling(*key))
            .then_some("node(s) didn't satisfy existing pods anti-affinity rules")
    }
}

fn terms(keys: &[&str]) -> Value {
    let selector = json!({ "matchLabels": { "app": "x" } });
    let term = |key: &&str| json!({ "topologyKey": key, "labelSelector": selector });
    let terms: Vec<Value> = keys.iter().map(term).collect();
    json!({ "requiredDuringSchedulingIgnoredDuringExecution": terms })
}

fn spread_over(rules: &[Rule], whether: &str) -> Value {
    let policy = |honors| if honors { "Honor" } else { "Ignore" };
    let constraint = |rule: &Rule| {
        json!({ "topologyKey": rule.key, "maxSkew": rule.max_skew, "whenUnsatisfiable": whether,
            "minDomains": rule.min_domains, "labelSelector": { "matchLabels": { "app": "x" } },
            "nodeAffinityPolicy": policy(rule.honors_affinity),
            "nodeTaintsPolicy": policy(rule.honors_taints) })
    };
    let constraints: Vec<Value> = rules.iter().map(constraint).collect();
    json!({ "topologySpreadConstraints": constraints })
}

/// What a plugin's filter says of each node.
fn refusals(
    world: &World,
    plugin: &crate::plugins::Plugin,
    pod: &crate::cache::Candidate,
    left: Option<Supposed<'_>>,
) -> Vec<Option<String>> {
    let mut filter = match plugin.prepare.unwrap()(world.context(pod)) {
        Prepared::Filter(filter) => Some(filter),
        Prepared::Skip => None,
        Prepared::Refused(refusal) => panic!("{refusal:?}"),
    };
    if let Some((filter, left)) = filter.as_mut().zip(left) {
        filter.suppose(&left);
    }
    let mut nodes: Vec<&NodeInfo> = world.cluster.cache.nodes().collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    let refusal = |node: &&NodeInfo| {
        let refusal = filter.as_ref()?.check(node).err()?;
        Some(refusal.reasons[0].to_string())
    };
    nodes.iter().map(refusal).collect()
}

proptest! {
    #[test]
    fn preferred_spreads_are_rated_by_the_rules(model in models(), rules in rules()) {
        let mut world = model.world();
        let pod = world.candidate(model.pod(spread_over(&rules, "ScheduleAnyway")));
        let mut nodes: Vec<&NodeInfo> = world.cluster.cache.nodes().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let scores = topology_spread::PLUGIN.score.unwrap()(world.context(&pod), &nodes);
        prop_assert_eq!(scores.unwrap(), model.scores(&rules, true));
    }

    #[test]
    fn spreads_by_default_are_rated_by_the_rules(model in models()) {
        let mut world = model.world();
        let service = json!({ "metadata": { "name": "s", "namespace": "d" }, "spec": { "selector": { "app": "x" } } });
        let service: crate::workloads::Service = serde_json::from_value(service).unwrap();
        world.cluster.workloads.set(&service);
        let pod = world.candidate(model.pod(json!({})));
        let mut nodes: Vec<&NodeInfo> = world.cluster.cache.nodes().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let scores = topology_spread::PLUGIN.score.unwrap()(world.context(&pod), &nodes);
        let rule = |key, max_skew| Rule {
            key, max_skew, min_domains: None, honors_affinity: true, honors_taints: false,
        };
        let expected = model.is_app.then(|| model.scores(&[rule(HOST, 3), rule(ZONE, 5)], false));
        prop_assert_eq!(scores, expected);
    }

    #[test]
    fn required_spreads_refuse_by_the_rules(model in models(), rules in rules(), leaving: prop::sample::Index) {
        let mut world = model.world();
        let pod = world.candidate(model.pod(spread_over(&rules, "DoNotSchedule")));
        let plugin = &topology_spread::PLUGIN;
        let expected = |model: &Model| -> Vec<Option<String>> {
            let nodes = model.nodes();
            nodes.map(|(_, node)| model.refusal(&rules, node).map(Into::into)).collect()
        };
        prop_assert_eq!(refusals(&world, plugin, &pod, None), expected(&model));
        if let Some((without, left)) = without_one(&model, &world, leaving) {
            prop_assert_eq!(refusals(&world, plugin, &pod, Some(left)), expected(&without));
        }
    }

    #[test]
    fn affinity_to_pods_refuses_by_the_rules(
        model in models(), near in prop::collection::vec(key(), 0..3),
        away in prop::collection::vec(key(), 0..2), leaving: prop::sample::Index,
    ) {
        let mut world = model.world();
        let affinity = json!({ "podAffinity": terms(&near), "podAntiAffinity": terms(&away) });
        let pod = world.candidate(model.pod(json!({ "affinity": affinity })));
        let plugin = &inter_pod_affinity::PLUGIN;
        let expected = |model: &Model| -> Vec<Option<String>> {
            let nodes = model.nodes();
            nodes.map(|(_, node)| model.keeps_off(&near, &away, node).map(Into::into)).collect()
        };
        prop_assert_eq!(refusals(&world, plugin, &pod, None), expected(&model));
        if let Some((without, left)) = without_one(&model, &world, leaving) {
            prop_assert_eq!(refusals(&world, plugin, &pod, Some(left)), expected(&without));
        }
    }
}

/// The same without one of the pods that are on nodes, which is supposed to leave.
fn without_one<'w>(
    model: &Model,
    world: &'w World,
    leaving: prop::sample::Index,
) -> Option<(Model, Supposed<'w>)> {
    let there: Vec<usize> = (0..model.pods.len())
        .filter(|at| !model.gone.contains(&model.pods[*at].on))
        .collect();
    let at = *there.get(leaving.index(there.len().max(1)))?;
    let mut without = model.clone();
    without.pods.remove(at);
    let placed = world.cluster.cache.pod(&format!("d/p{at}")).unwrap();
    let left = Supposed {
        is_ending: model.pods[at].is_ending,
        ..Supposed::left(&placed.template, placed.node)
    };
    Some((without, left))
}
