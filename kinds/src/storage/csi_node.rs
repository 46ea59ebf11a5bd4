//! CSINode.

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;

pub static KIND: Kind = Kind {
    group: "storage.k8s.io",
    kind: "CSINode",
    list_kind: "CSINodeList",
    plural: "csinodes",
    singular: "csinode",
    scope: Scope::Cluster,
    storage: Storage::Stored { prefix: "csinodes" },
    update_needs_version: true,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::count("Drivers", "How many drivers the node has."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(node: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for driver in node.at("spec.drivers").items() {
        let name = driver.at("name");
        if errors.require(&name) {
            errors.follows(&name, |name| names::dns_subdomain(&name.to_lowercase()));
            errors.unique(&name, &mut seen);
        }
        errors.require(&driver.at("nodeID"));
        errors.not_negative(&driver.at("allocatable.count"));
        for key in driver.at("topologyKeys").items() {
            errors.follows(&key, names::qualified);
        }
    }
}

fn row(node: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(node),
        meta::items(node, "spec.drivers").len().into(),
        columns::age(node, now),
    ]
}
