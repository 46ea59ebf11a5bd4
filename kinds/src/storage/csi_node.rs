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
    validate_update: |new, old, errors| {
        drivers_stay(&new.at("spec.drivers"), &old.at("spec.drivers"), errors);
        validate(new, errors);
    },
    columns: &[
        NAME,
        Column::count("Drivers", "How many drivers the node has."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

/// Bytes of a driver's own name for a node.
const NODE_ID_MAX: usize = 256;

fn validate(node: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for driver in node.at("spec.drivers").items() {
        let name = driver.at("name");
        crate::pod_template::csi_driver(&name, errors);
        errors.unique(&name, &mut seen);
        let id = driver.at("nodeID");
        errors.require(&id);
        errors.within(&id, NODE_ID_MAX);
        errors.not_negative(&driver.at("allocatable.count"));
        for key in driver.at("topologyKeys").items() {
            errors.follows(&key, names::qualified);
        }
    }
}

/// A driver may come and go, not change.
fn drivers_stay(now: &Node, was: &Node, errors: &mut Errors) {
    for driver in now.items() {
        let name = driver.at("name").text();
        let mut before = was.items();
        let before = before.find(|before| before.at("name").text() == name);
        if before.is_some_and(|before| before.value != driver.value) {
            errors.invalid(&driver, "field is immutable");
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
