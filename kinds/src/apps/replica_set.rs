//! ReplicaSet.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{object, set_default};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource, plain_field};
use crate::label_selector;
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::scale::ScalePaths;
use crate::text_cells;
use crate::warnings;

pub static KIND: Kind = Kind {
    group: "apps",
    kind: "ReplicaSet",
    list_kind: "ReplicaSetList",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    subresources: &[
        Subresource::scale(),
        Subresource::status(("apps", "v1", "ReplicaSet")),
    ],
    storage: Storage::Stored {
        prefix: "replicasets",
    },
    default,
    prepare_create: |set| {
        prepare::new_with_status(set);
        set["status"] = json!({"replicas": 0});
    },
    prepare_update: prepare::keep_status,
    validate,
    validate_update: |new, old, errors| {
        validate(new, errors);
        errors.immutable(&new.at("spec.selector"), &old.at("spec.selector"));
    },
    validate_status_update: |new, _, errors| status(new, errors),
    columns: COLUMNS,
    row,
    field_labels: &[plain_field!("status.replicas", "0")],
    scale: Some(ScalePaths::WORKLOAD),
    warnings: warnings::named_workload,
    ..Kind::BASE
};

/// Also a ReplicationController's.
pub const COLUMNS: &[Column] = &[
    NAME,
    Column::count("Desired", "How many pods there should be."),
    Column::count("Current", "How many pods there are."),
    Column::count("Ready", "How many pods are ready."),
    AGE,
    Column::text("Containers", "Names of each container in the template.").wide(),
    Column::text(
        "Images",
        "Images referenced by each container in the template.",
    )
    .wide(),
    Column::text("Selector", "Which pods are counted.").wide(),
];

fn default(set: &mut Value) {
    let spec = object(set, "spec");
    set_default(spec, "replicas", 1);
    pod_template::default_template(spec);
}

fn validate(set: &Node, errors: &mut Errors) {
    let spec = set.at("spec");
    errors.not_negative(&spec.at("replicas"));
    errors.not_negative(&spec.at("minReadySeconds"));
    let selector = spec.at("selector");
    let Some(selects) = label_selector::of_workload(&selector, "replica set", errors) else {
        return;
    };
    pod_template::validate_workload_template(&spec, &selects, "ReplicaSet", errors);
}

/// Counts are not negative, and no part is greater than the whole.
pub fn status(set: &Node, errors: &mut Errors) {
    let status = set.at("status");
    let total = status.at("replicas").int().unwrap_or(0);
    errors.not_negative(&status.at("replicas"));
    errors.not_negative(&status.at("observedGeneration"));
    for field in ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"] {
        let count = status.at(field);
        errors.not_negative(&count);
        if count.int().unwrap_or(0) > total {
            errors.invalid(&count, "cannot be greater than status.replicas");
        }
    }
    let (ready, available) = (status.at("readyReplicas"), status.at("availableReplicas"));
    if available.int().unwrap_or(0) > ready.int().unwrap_or(0) {
        errors.invalid(&available, "cannot be greater than readyReplicas");
    }
}

fn row(set: &Value, now: Timestamp) -> Vec<Value> {
    cells(
        set,
        text_cells::selector(meta::get(set, "spec.selector")),
        now,
    )
}

pub fn cells(set: &Value, selector: String, now: Timestamp) -> Vec<Value> {
    let count = |path| Value::from(meta::int(set, path).unwrap_or(0));
    let [containers, images] = pod_template::cells(&set["spec"]["template"]);
    vec![
        columns::name(set),
        count("spec.replicas"),
        count("status.replicas"),
        count("status.readyReplicas"),
        columns::age(set, now),
        containers,
        images,
        selector.into(),
    ]
}
