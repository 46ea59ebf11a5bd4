//! Affinity to nodes and to other pods.

use std::collections::HashSet;

use apimachinery::field::Error;
use apimachinery::{meta, names};

use super::scheduling::{self, LabelValues};
use crate::errors::Errors;
use crate::label_selector;
use crate::node::Node;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub fn validate(affinity: &Node, errors: &mut Errors) {
    if !affinity.exists() {
        return;
    }
    node(&affinity.at("nodeAffinity"), errors);
    pod(&affinity.at("podAffinity"), errors);
    pod(&affinity.at("podAntiAffinity"), errors);
}

fn node(affinity: &Node, errors: &mut Errors) {
    let required = affinity.at(REQUIRED);
    if required.exists() {
        scheduling::node_selector(&required, errors);
    }
    for term in affinity.at(PREFERRED).items() {
        weight(&term, errors);
        // What no node can be preferred for does no harm.
        scheduling::node_selector_term(&term.at("preference"), LabelValues::Any, errors);
    }
}

fn weight(term: &Node, errors: &mut Errors) {
    let weight = term.at("weight");
    let value = weight.int().unwrap_or(0);
    if !(1..=100).contains(&value) {
        errors.push(Error::invalid(
            &weight.path,
            value,
            "must be in the range 1-100",
        ));
    }
}

fn pod(affinity: &Node, errors: &mut Errors) {
    for term in affinity.at(REQUIRED).items() {
        pod_term(&term, errors);
    }
    for term in affinity.at(PREFERRED).items() {
        weight(&term, errors);
        pod_term(&term.at("podAffinityTerm"), errors);
    }
}

fn pod_term(term: &Node, errors: &mut Errors) {
    label_selector::validate(&term.at("labelSelector"), errors);
    label_selector::validate(&term.at("namespaceSelector"), errors);
    for namespace in term.at("namespaces").items() {
        for problem in names::dns_label(namespace.text()) {
            let told = term.path.child("namespace");
            errors.push(Error::invalid(&told, namespace.text(), problem));
        }
    }
    label_keys(term, errors);
    let key = term.at("topologyKey");
    errors.require_because(&key, "can not be empty");
    errors.follows(&key, names::qualified);
}

/// Keys whose values are looked up in the pod's own labels.
fn label_keys(term: &Node, errors: &mut Errors) {
    let selector = term.at("labelSelector");
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = term.at(field);
        if !keys.is_empty() && !selector.exists() {
            errors.forbidden(&keys, "must not be specified when labelSelector is not set");
            continue;
        }
        for key in keys.items() {
            errors.follows(&key, names::qualified);
        }
    }
    let matched = term.at("matchLabelKeys");
    selected_twice(term, &matched, &selector, errors);
    let mismatched = meta::items(term.value, "mismatchLabelKeys");
    for key in matched.items().filter(|key| mismatched.contains(key.value)) {
        let why = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.invalid(&key, why);
    }
}

/// The server adds an expression for each key itself: a second one is the user's own.
fn selected_twice(term: &Node, matched: &Node, selector: &Node, errors: &mut Errors) {
    let labels = selector.at("matchLabels");
    let mut seen: HashSet<&str> = labels.entries().map(|(key, _)| key).collect();
    for expression in selector.at("matchExpressions").items() {
        let key = expression.at("key").text();
        let at = matched.items().position(|matched| matched.text() == key);
        if let Some(index) = at.filter(|_| seen.contains(key)) {
            let why = "exists in both matchLabelKeys and labelSelector";
            errors.push(Error::invalid(&term.path.index(index), key, why));
        }
        seen.insert(key);
    }
}
