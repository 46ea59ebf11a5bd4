//! RuntimeClass.

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{each, with};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::pod_template;
use crate::warnings;

pub static KIND: Kind = Kind {
    group: "node.k8s.io",
    kind: "RuntimeClass",
    list_kind: "RuntimeClassList",
    plural: "runtimeclasses",
    singular: "runtimeclass",
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "runtimeclasses",
    },
    update_needs_version: true,
    default: |class| {
        with(class, "scheduling", |scheduling| {
            each(scheduling, "tolerations", |toleration| {
                if meta::text(toleration, "operator").is_empty() {
                    toleration["operator"] = "Equal".into();
                }
            });
        });
    },
    validate,
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("handler"), &old.at("handler"));
        validate(new, errors);
    },
    columns: &[
        NAME,
        Column::text("Handler", "The runtime that is meant."),
        AGE,
    ],
    row,
    warnings: told,
    ..Kind::BASE
};

fn validate(class: &Node, errors: &mut Errors) {
    errors.follows(&class.at("handler"), names::dns_label);
    for (name, amount) in class.at("overhead.podFixed").entries() {
        pod_template::container_resource_name(name, &amount, errors);
        pod_template::amount_of(name, &amount, errors);
    }
    let scheduling = class.at("scheduling");
    crate::object_meta::labels(&scheduling.at("nodeSelector"), errors);
    let tolerations = scheduling.at("tolerations");
    pod_template::tolerations(&tolerations, errors);
    let mut seen = Seen::new();
    for toleration in tolerations.items() {
        if !seen.insert(toleration.value.to_string()) {
            errors.duplicate(&toleration);
        }
    }
}

fn row(class: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(class),
        meta::text(class, "handler").into(),
        columns::age(class, now),
    ]
}

fn told(new: &Value, _: Option<&Value>) -> Vec<String> {
    let mut told = Vec::new();
    let class = Node::root(new);
    let scheduling = class.at("scheduling");
    warnings::deprecated_node_labels(&scheduling.at("nodeSelector"), &mut told);
    told
}
