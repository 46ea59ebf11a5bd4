//! CSIStorageCapacity.

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Storage};
use crate::label_selector;
use crate::node::Node;
use crate::text_cells::plain;

pub static KIND: Kind = Kind {
    group: "storage.k8s.io",
    kind: "CSIStorageCapacity",
    list_kind: "CSIStorageCapacityList",
    plural: "csistoragecapacities",
    singular: "csistoragecapacity",
    storage: Storage::Stored {
        prefix: "csistoragecapacities",
    },
    validate,
    validate_update: |new, old, errors| {
        validate(new, errors);
        for field in ["nodeTopology", "storageClassName"] {
            errors.immutable(&new.at(field), &old.at(field));
        }
    },
    columns: &[
        NAME,
        Column::text("StorageClassName", "The class the figure is for."),
        Column::text("Capacity", "How much there is left."),
    ],
    row,
    ..Kind::BASE
};

fn validate(capacity: &Node, errors: &mut Errors) {
    errors.require_name(&capacity.at("storageClassName"), names::dns_subdomain);
    label_selector::validate(&capacity.at("nodeTopology"), errors);
    for field in ["capacity", "maximumVolumeSize"] {
        let amount = capacity.at(field);
        if amount.exists() {
            errors.amount(&amount);
        }
    }
}

fn row(capacity: &Value, _: Timestamp) -> Vec<Value> {
    vec![
        columns::name(capacity),
        meta::text(capacity, "storageClassName").into(),
        meta::get(capacity, "capacity")
            .map_or("<unset>".to_owned(), plain)
            .into(),
    ]
}
