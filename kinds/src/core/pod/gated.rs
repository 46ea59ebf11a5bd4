//! Pods that wait for scheduling gates: what the scheduler reads may still be narrowed.

use apimachinery::field::Error;
use serde_json::Value;

use crate::errors::Errors;
use crate::node::Node;
use crate::prepare::copy_field;

/// Gates may be opened, not put up.
pub fn gates(now: &Node, was: &Node, errors: &mut Errors) {
    let known = |name: &str| was.items().any(|gate| gate.at("name").text() == name);
    for gate in now.items() {
        let name = gate.at("name");
        if !known(name.text()) {
            let why = format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                name.text()
            );
            errors.forbidden(&name, why);
        }
    }
}

/// Tells what was widened, and puts the node selector and node affinity back into `spec`.
pub fn scheduling_back(put_back: &mut Value, spec: &Node, before: &Node, errors: &mut Errors) {
    node_selector(&spec.at("nodeSelector"), &before.at("nodeSelector"), errors);
    copy_field(put_back, before.value, "nodeSelector");
    let (now, was) = (
        spec.at("affinity.nodeAffinity"),
        before.at("affinity.nodeAffinity"),
    );
    if now.value == was.value {
        return;
    }
    node_affinity(&now, &was, errors);
    let only_node = |affinity: &Node| {
        !affinity.at("podAffinity").exists() && !affinity.at("podAntiAffinity").exists()
    };
    let (affinity, affinity_before) = (spec.at("affinity"), before.at("affinity"));
    if !affinity_before.exists() && only_node(&affinity) {
        copy_field(put_back, before.value, "affinity");
    } else if affinity.exists() {
        copy_field(
            &mut put_back["affinity"],
            affinity_before.value,
            "nodeAffinity",
        );
    } else {
        put_back["affinity"] = serde_json::json!({"nodeAffinity": was.value});
    }
}

fn node_selector(now: &Node, was: &Node, errors: &mut Errors) {
    let kept = was.entries().all(|(key, value)| {
        let now = now.map().and_then(|all| all.get(key));
        now == Some(value.value)
    });
    if !kept {
        let why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.invalid(now, why);
    }
}

const TERMS: &str = "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";

fn node_affinity(now: &Node, was: &Node, errors: &mut Errors) {
    let (now, was) = (now.at(TERMS), was.at(TERMS));
    if was.is_empty() {
        return;
    }
    if now.len() != was.len() {
        let why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return errors.invalid(&now, why);
    }
    for (term, before) in now.items().zip(was.items()) {
        if !only_adds(&term, &before) {
            let why = "only additions are allowed (no mutations or deletions)";
            errors.push(Error::invalid(&term.path, term.value.clone(), why));
        }
    }
}

/// An empty term matches nothing: adding to it would widen it.
fn only_adds(term: &Node, before: &Node) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    let is_empty = |term: &Node| lists.iter().all(|list| term.at(list).is_empty());
    if is_empty(before) {
        return is_empty(term);
    }
    lists.iter().all(|list| {
        let (now, was) = (term.at(list), before.at(list));
        let now: Vec<&Value> = now.items().map(|item| item.value).collect();
        let was: Vec<&Value> = was.items().map(|item| item.value).collect();
        now.starts_with(&was)
    })
}
