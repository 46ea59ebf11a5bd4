//! Which nodes take a DaemonSet's pod, and what that pod is.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeAffinity, Taint, Toleration};
use objects::{node_selector, taints};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::object::{ControllerRevision, DaemonSet, Node};
use crate::revision;
use crate::workload;

const GENERATION: &str = "deprecated.daemonset.template.generation";
const GENERATION_LABEL: &str = "pod-template-generation";

/// What a node is to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Runs,
    /// Gets no pod, and keeps one that it has.
    Keeps,
    Refuses,
    /// There is no such node any more.
    NoNode,
}

/// What a set's template says about nodes.
pub struct Placement {
    node_name: String,
    selector: BTreeMap<String, String>,
    affinity: Option<NodeAffinity>,
    tolerations: Vec<Toleration>,
}

/// The part of a pod's spec that is read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    node_selector: BTreeMap<String, String>,
    affinity: Affinity,
    tolerations: Vec<Toleration>,
    host_network: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

impl Placement {
    pub fn of(set: &DaemonSet) -> Self {
        // What cannot be read cannot have passed the API server's schema.
        let spec = Spec::deserialize(&set.spec.template["spec"]).unwrap_or_default();
        let mut tolerations = spec.tolerations;
        for toleration in of_daemons(spec.host_network) {
            if !tolerations.contains(&toleration) {
                tolerations.push(toleration);
            }
        }
        Self {
            node_name: spec.node_name,
            selector: spec.node_selector,
            affinity: spec.affinity.node_affinity,
            tolerations,
        }
    }

    pub fn verdict(&self, node: &Node) -> Verdict {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let no_labels = BTreeMap::new();
        let labels = node.metadata.labels.as_ref().unwrap_or(&no_labels);
        let is_named = self.node_name.is_empty() || self.node_name == name;
        let asked = node_selector::Node { name, labels };
        if !is_named || !asked.is_wanted_by(&self.selector, self.affinity.as_ref()) {
            return Verdict::Refuses;
        }
        let refuses = |taint: &&Taint| {
            taint.effect != "PreferNoSchedule" && !taints::tolerates_any(&self.tolerations, taint)
        };
        let refusing: Vec<&Taint> = node.spec.taints.iter().filter(refuses).collect();
        if refusing.iter().any(|taint| taint.effect == "NoExecute") {
            Verdict::Refuses
        } else if !refusing.is_empty() {
            Verdict::Keeps
        } else {
            Verdict::Runs
        }
    }

    /// The pod for a node: the scheduler may put it there only.
    pub fn pod(&self, set: &DaemonSet, revision: &ControllerRevision, node: &str) -> Value {
        let mut pod = workload::pod_of(set);
        let meta = &mut pod["metadata"];
        meta["generateName"] = workload::generated_name(set);
        meta["labels"][revision::POD_LABEL] = revision.label(revision::POD_LABEL).into();
        let annotations = set.metadata.annotations.as_ref();
        if let Some(generation) = annotations.and_then(|a| a.get(GENERATION)) {
            meta["labels"][GENERATION_LABEL] = generation.clone().into();
        }
        let spec = &mut pod["spec"];
        spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = json!({
            "nodeSelectorTerms": [{ "matchFields": [
                { "key": "metadata.name", "operator": "In", "values": [node] }] }] });
        spec["tolerations"] = json!(self.tolerations);
        pod
    }
}

/// A daemon stays where others must go.
fn of_daemons(on_host_network: bool) -> impl Iterator<Item = Toleration> {
    let always = [
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ];
    let network = on_host_network.then_some(("network-unavailable", "NoSchedule"));
    let all = always.into_iter().chain(network);
    all.map(|(name, effect)| Toleration {
        key: Some(format!("node.kubernetes.io/{name}")),
        operator: Some("Exists".into()),
        effect: Some(effect.into()),
        ..Toleration::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(spec: Value) -> DaemonSet {
        serde_json::from_value(json!({
            "metadata": { "name": "d", "annotations": { GENERATION: "4" } },
            "spec": { "selector": {}, "template": { "metadata": { "labels": { "a": "b" } }, "spec": spec } } }))
        .unwrap()
    }

    fn verdict(spec: Value, node: Value) -> Verdict {
        let mut whole = json!({ "metadata": { "name": "n" } });
        for (key, value) in node.as_object().unwrap() {
            match key.as_str() {
                "labels" => whole["metadata"]["labels"] = value.clone(),
                _ => whole["spec"][key] = value.clone(),
            }
        }
        Placement::of(&set(spec)).verdict(&serde_json::from_value(whole).unwrap())
    }

    fn tainted(key: &str, effect: &str) -> Value {
        json!({ "taints": [{ "key": key, "effect": effect }] })
    }

    #[test]
    fn daemons_run_where_other_pods_may_not() {
        for (key, effect) in [
            ("not-ready", "NoExecute"),
            ("unreachable", "NoExecute"),
            ("memory-pressure", "NoSchedule"),
            ("unschedulable", "NoSchedule"),
        ] {
            let node = tainted(&format!("node.kubernetes.io/{key}"), effect);
            assert_eq!(verdict(json!({}), node), Verdict::Runs, "{key}");
        }
        let network = tainted("node.kubernetes.io/network-unavailable", "NoSchedule");
        assert_eq!(verdict(json!({}), network.clone()), Verdict::Keeps);
        assert_eq!(
            verdict(json!({ "hostNetwork": true }), network),
            Verdict::Runs
        );
    }

    #[test]
    fn taint_against_running_drives_out_and_one_against_placing_does_not() {
        assert_eq!(
            verdict(json!({}), tainted("x", "NoSchedule")),
            Verdict::Keeps
        );
        assert_eq!(
            verdict(json!({}), tainted("x", "NoExecute")),
            Verdict::Refuses
        );
        assert_eq!(
            verdict(json!({}), tainted("x", "PreferNoSchedule")),
            Verdict::Runs
        );
        let tolerant = json!({ "tolerations": [{ "key": "x", "operator": "Exists" }] });
        assert_eq!(verdict(tolerant, tainted("x", "NoExecute")), Verdict::Runs);
    }

    #[test]
    fn node_must_be_the_one_that_selector_affinity_and_name_ask_for() {
        let green = json!({ "labels": { "color": "green" } });
        let selector = json!({ "nodeSelector": { "color": "green" } });
        assert_eq!(verdict(selector.clone(), green.clone()), Verdict::Runs);
        assert_eq!(verdict(selector, json!({})), Verdict::Refuses);
        let affinity = json!({ "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchExpressions": [{ "key": "color", "operator": "In", "values": ["green"] }] }] } } } });
        assert_eq!(verdict(affinity.clone(), green), Verdict::Runs);
        assert_eq!(verdict(affinity, json!({})), Verdict::Refuses);
        assert_eq!(
            verdict(json!({ "nodeName": "m" }), json!({})),
            Verdict::Refuses
        );
    }

    #[test]
    fn pod_is_bound_to_its_node_by_name_and_keeps_other_affinities() {
        let set = set(json!({ "affinity": { "podAffinity": { "x": 1 } } }));
        let revision = json!({ "metadata": { "labels": { "controller-revision-hash": "abc" } } });
        let revision: ControllerRevision = serde_json::from_value(revision).unwrap();
        let pod = Placement::of(&set).pod(&set, &revision, "n7");
        assert_eq!(
            pod["metadata"]["labels"],
            json!({ "a": "b", "controller-revision-hash": "abc", "pod-template-generation": "4" })
        );
        let affinity = &pod["spec"]["affinity"];
        assert_eq!(affinity["podAffinity"]["x"], 1);
        let terms = &affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(
            terms["nodeSelectorTerms"][0]["matchFields"][0]["values"],
            json!(["n7"])
        );
        assert_eq!(pod["spec"]["tolerations"].as_array().unwrap().len(), 6);
    }
}
