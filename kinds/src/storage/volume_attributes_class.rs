//! VolumeAttributesClass.

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;

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
            errors.immutable(&new.at(field), &old.at(field));
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
    if errors.require(&driver) {
        errors.follows(&driver, |name| names::dns_subdomain(&name.to_lowercase()));
    }
    errors.require_because(
        &class.at("parameters"),
        "must contain at least one key/value pair",
    );
}

fn row(class: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(class),
        meta::text(class, "driverName").into(),
        columns::age(class, now),
    ]
}
