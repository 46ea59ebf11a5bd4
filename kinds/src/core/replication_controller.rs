//! ReplicationController.

use apimachinery::meta;
use apimachinery::selector::LabelSelector;
use serde_json::{Value, json};

use crate::apps::replica_set;
use crate::defaults::{object, set_default};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource, plain_field};
use crate::node::Node;
use crate::pod_template;
use crate::prepare;
use crate::scale::ScalePaths;
use crate::text_cells;
use crate::warnings;

pub static KIND: Kind = Kind {
    kind: "ReplicationController",
    list_kind: "ReplicationControllerList",
    plural: "replicationcontrollers",
    singular: "replicationcontroller",
    short_names: &["rc"],
    categories: &["all"],
    subresources: &[
        Subresource::scale(),
        Subresource::status(("", "v1", "ReplicationController")),
    ],
    storage: Storage::Stored {
        prefix: "controllers",
    },
    default,
    prepare_create: |controller| {
        prepare::new_with_status(controller);
        controller["status"] = json!({"replicas": 0});
    },
    prepare_update: prepare::keep_status,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    validate_status_update: |new, _, errors| replica_set::status(new, errors),
    columns: replica_set::COLUMNS,
    row: |controller, now| {
        let selector = text_cells::labels(meta::map(controller, "spec.selector"));
        replica_set::cells(controller, selector, now)
    },
    field_labels: &[plain_field!("status.replicas", "0")],
    scale: Some(ScalePaths {
        selector_is_map: true,
        ..ScalePaths::WORKLOAD
    }),
    warnings: warnings::named_workload,
    ..Kind::BASE
};

/// What is not said is taken from the template's labels.
fn default(controller: &mut Value) {
    let labels = meta::get(controller, "spec.template.metadata.labels").cloned();
    if let Some(labels) = labels.filter(|labels| labels.as_object().is_some_and(|l| !l.is_empty()))
    {
        if meta::map(controller, "spec.selector").is_none_or(serde_json::Map::is_empty) {
            object(controller, "spec")["selector"] = labels.clone();
        }
        if meta::labels(controller).is_none_or(serde_json::Map::is_empty) {
            meta::set_meta(controller, "labels", labels);
        }
    }
    let spec = object(controller, "spec");
    set_default(spec, "replicas", 1);
    if spec.get("template").is_some() {
        pod_template::default_template(spec);
    }
}

fn validate(controller: &Node, errors: &mut Errors) {
    let spec = controller.at("spec");
    errors.not_negative(&spec.at("minReadySeconds"));
    let selector = spec.at("selector");
    errors.require(&selector);
    errors.not_negative(&spec.at("replicas"));
    let template = spec.at("template");
    if !template.exists() {
        errors.required(&template, "");
        return;
    }
    if let Some(selects) = selector.map().map(LabelSelector::from_map) {
        pod_template::selects(&template, &selects, errors);
    }
    pod_template::validate_template(&template, errors);
    pod_template::always_restarts(&template, "ReplicationController", errors);
}
