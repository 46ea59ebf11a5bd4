//! Node labels that have newer names.

use super::Warnings;
use crate::node::Node;

/// Old name, the version that deprecated it, new name.
const RENAMED: &[(&str, &str, &str)] = &[
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    (
        "beta.kubernetes.io/instance-type",
        "v1.17",
        "node.kubernetes.io/instance-type",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "v1.17",
        "topology.kubernetes.io/region",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "v1.17",
        "topology.kubernetes.io/zone",
    ),
];

fn message(label: &str) -> Option<String> {
    let (_, since, now) = RENAMED.iter().find(|(old, _, _)| *old == label)?;
    Some(format!("deprecated since {since}; use {now:?} instead"))
}

/// The old names among the keys of a map.
pub(crate) fn deprecated_node_labels(map: &Node, warnings: &mut Warnings) {
    for (key, entry) in map.entries() {
        if let Some(why) = message(key) {
            warnings.push(format!("{}: {why}", entry.path));
        }
    }
}

/// An old name as the text of a field.
pub(super) fn deprecated_label(field: &Node, warnings: &mut Warnings) {
    let label = field.text();
    if let Some(why) = message(label) {
        warnings.push(format!("{}: {label} is {why}", field.path));
    }
}

/// The old names that a node affinity asks for.
pub(super) fn affinity(affinity: &Node, warnings: &mut Warnings) {
    let required = affinity.at("requiredDuringSchedulingIgnoredDuringExecution");
    node_selector(&required, warnings);
    let preferred = affinity.at("preferredDuringSchedulingIgnoredDuringExecution");
    for item in preferred.items() {
        term(&item.at("preference"), warnings);
    }
}

/// The old names in a node selector's terms.
pub(super) fn node_selector(selector: &Node, warnings: &mut Warnings) {
    for item in selector.at("nodeSelectorTerms").items() {
        term(&item, warnings);
    }
}

fn term(term: &Node, warnings: &mut Warnings) {
    for expression in term.at("matchExpressions").items() {
        deprecated_label(&expression.at("key"), warnings);
    }
}
