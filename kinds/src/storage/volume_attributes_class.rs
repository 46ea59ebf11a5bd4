//! VolumeAttributesClass.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::pod_template::csi_driver;

pub static KIND: Kind = Kind {
    group: "storage.k8s.io",
    kind: "VolumeAttributesClass",
    list_kind: "VolumeAttributesClassList",
    plural: "volumeattributesclasses",
    singular: "volumeattributesclass",
    short_names: &["vac"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "volumeattributesclasses",
    },
    validate,
    validate_update: |new, old, errors| {
        validate(new, errors);
        for field in ["driverName", "parameters"] {
            let (now, was) = (new.at(field), old.at(field));
            if now.value != was.value {
                errors.forbidden(&now, format!("updates to {field} are forbidden."));
            }
        }
    },
    columns: &[
        NAME,
        Column::text("DriverName", "The driver the class is for."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(class: &Node, errors: &mut Errors) {
    let driver = class.at("driverName");
    csi_driver(&driver, errors);
    let parameters = class.at("parameters");
    if errors.require_because(&parameters, "must contain at least one key/value pair") {
        super::storage_class::parameters(&parameters, errors);
    }
}

fn row(class: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(class),
        meta::text(class, "driverName").into(),
        columns::age(class, now),
    ]
}
