//! What clients are warned of: objects that are allowed, but hardly meant.

mod addresses;
mod containers;
mod labels;
mod pods;
mod volumes;

use apimachinery::names;
use apimachinery::quantity::Quantity;
use serde_json::Value;

use crate::node::Node;

pub(crate) use addresses::{cidr, ip};
pub(crate) use labels::deprecated_node_labels;
pub(crate) use pods::{pod, template};
pub(crate) use volumes::{claim, claim_spec, persistent_volume};

/// What is collected of one object.
pub(crate) type Warnings = Vec<String>;

/// Warnings of a kind of which only the new object counts, on create and when its
/// spec changes.
pub(crate) fn is_due(new: &Value, old: Option<&Value>) -> bool {
    old.is_none_or(|old| old["spec"] != new["spec"])
}

/// Warnings of a kind that makes pods from the template at `spec.template`.
pub(crate) fn workload(new: &Value, old: Option<&Value>) -> Warnings {
    let mut warnings = Warnings::new();
    if is_due(new, old) {
        template(&Node::root(new).at("spec").at("template"), &mut warnings);
    }
    warnings
}

/// As [`workload`], for kinds whose name becomes a part of hostnames.
pub(crate) fn named_workload(new: &Value, old: Option<&Value>) -> Warnings {
    let mut warnings = Warnings::new();
    if old.is_none() {
        name(new, "Pod names and hostnames", &mut warnings);
    }
    warnings.extend(workload(new, old));
    warnings
}

/// A name that is no DNS label makes odd hostnames.
pub(crate) fn name(object: &Value, used_in: &str, warnings: &mut Warnings) {
    let wrong = names::dns_label(apimachinery::meta::name(object));
    if !wrong.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in {used_in}, which can result in surprising behavior; a DNS label is recommended: [{}]",
            wrong.join(" ")
        ));
    }
}

/// An annotation that is set but should be so no more.
pub(crate) fn annotation(object: &Node, key: &str, why: &str, warnings: &mut Warnings) {
    let annotations = object.at("metadata");
    let annotations = annotations.at("annotations");
    if let Some((_, set)) = annotations.entries().find(|(name, _)| *name == key) {
        warnings.push(format!("{}: {why}", set.path));
    }
}

/// An amount that has parts of a byte.
pub(crate) fn fraction(amount: &Node, warnings: &mut Warnings) {
    if !amount.exists() {
        return;
    }
    if Quantity::from_json(amount.value).is_ok_and(|q| q.milli_value() % 1000 != 0) {
        warnings.push(format!(
            "{}: fractional byte value {:?} is invalid, must be an integer",
            amount.path,
            amount.text()
        ));
    }
}
