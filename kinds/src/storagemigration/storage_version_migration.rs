//! StorageVersionMigration.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "storagemigration.k8s.io",
    kind: "StorageVersionMigration",
    list_kind: "StorageVersionMigrationList",
    plural: "storageversionmigrations",
    singular: "storageversionmigration",
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "storagemigration.k8s.io",
        "v1",
        "StorageVersionMigration",
    ))],
    storage: Storage::Stored {
        prefix: "storageversionmigrations",
    },
    prepare_create: |migration| migration["status"] = json!({}),
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("spec"), &old.at("spec"));
    },
    columns: &[NAME, Column::text("Resource", "What is written anew."), AGE],
    row,
    ..Kind::BASE
};

fn validate(migration: &Node, errors: &mut Errors) {
    errors.require(&migration.at("spec.resource.resource"));
}

fn row(migration: &Value, now: Timestamp) -> Vec<Value> {
    let resource = meta::text(migration, "spec.resource.resource");
    let shown = match meta::text(migration, "spec.resource.group") {
        "" => resource.to_owned(),
        group => format!("{resource}.{group}"),
    };
    vec![
        columns::name(migration),
        shown.into(),
        columns::age(migration, now),
    ]
}
