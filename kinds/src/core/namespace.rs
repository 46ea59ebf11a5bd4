//! Namespace.

use apimachinery::field::Error;
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{FieldLabel, Kind, Scope, Storage, Subresource, text_field};
use crate::node::Node;
use crate::prepare;

const SELF: (&str, &str, &str) = ("", "v1", "Namespace");
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub static KIND: Kind = Kind {
    kind: "Namespace",
    list_kind: "NamespaceList",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    scope: Scope::Cluster,
    // Deleting all namespaces at once is not offered.
    verbs: &[
        "create", "delete", "get", "list", "patch", "update", "watch",
    ],
    subresources: &[
        Subresource::new("finalize", SELF, &["update"]),
        Subresource::status(SELF),
    ],
    storage: Storage::Stored {
        prefix: "namespaces",
    },
    name_rule: names::dns_label,
    default,
    prepare_create,
    prepare_update,
    validate: validate_finalizers,
    validate_update: |new, _, errors| validate_finalizers(new, errors),
    validate_status_update: |new, _, errors| validate_status(new, errors),
    columns: &[
        NAME,
        Column::text(
            "Status",
            "Whether the namespace is in use or being removed.",
        ),
        AGE,
    ],
    row,
    field_labels: &[
        text_field!("status.phase"),
        FieldLabel::new("name", |namespace| meta::name(namespace).into()),
    ],
    ..Kind::BASE
};

fn default(namespace: &mut Value) {
    let name = meta::name(namespace).to_owned();
    if !name.is_empty() {
        meta::set_label(namespace, NAME_LABEL, &name);
    }
}

fn prepare_create(namespace: &mut Value) {
    default(namespace);
    let spec = meta::entry(namespace, "spec");
    let mut finalizers = spec["finalizers"].as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|f| f == "kubernetes") {
        finalizers.push("kubernetes".into());
    }
    spec["finalizers"] = finalizers.into();
    namespace["status"] = json!({"phase": "Active"});
}

/// Finalizers change only through `/finalize`.
fn prepare_update(new: &mut Value, old: &Value) {
    prepare::copy_field(new, old, "spec");
    prepare::copy_field(new, old, "status");
}

const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

fn validate_finalizers(namespace: &Node, errors: &mut Errors) {
    for finalizer in namespace.at("spec.finalizers").items() {
        errors.follows(&finalizer, names::qualified);
        let name = finalizer.text();
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid_text(&finalizer, why);
        }
    }
}

/// The phase says whether the namespace is being deleted.
fn validate_status(namespace: &Node, errors: &mut Errors) {
    let phase = namespace.at("status.phase");
    let going = namespace.at("metadata.deletionTimestamp").exists();
    let (wanted, word) = if going {
        ("Terminating", "not empty")
    } else {
        ("Active", "empty")
    };
    if phase.text() != wanted {
        let status = namespace.at("status");
        let why = format!("may only be '{wanted}' if `deletionTimestamp` is {word}");
        errors.push(Error::invalid(
            &status.path.child("Phase"),
            phase.text(),
            why,
        ));
    }
}

fn row(namespace: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(namespace),
        meta::text(namespace, "status.phase").into(),
        columns::age(namespace, now),
    ]
}
