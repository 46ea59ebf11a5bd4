//! Affinity to nodes and to other pods.

use apimachinery::names;

use super::scheduling;
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
        scheduling::node_selector_term(&term.at("preference"), errors);
    }
}

fn weight(term: &Node, errors: &mut Errors) {
    let weight = term.at("weight");
    let value = weight.int().unwrap_or(0);
    if !(1..=100).contains(&value) {
        errors.invalid(&weight, "must be in the range 1-100");
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
        errors.follows(&namespace, names::dns_label);
    }
    scheduling::match_label_keys(term, "matchLabelKeys", errors);
    scheduling::match_label_keys(term, "mismatchLabelKeys", errors);
    let key = term.at("topologyKey");
    if errors.require_because(&key, "can not be empty") {
        errors.follows(&key, names::qualified);
    }
}
