//! IngressClass.

use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::NONE;

pub static KIND: Kind = Kind {
    group: "networking.k8s.io",
    kind: "IngressClass",
    list_kind: "IngressClassList",
    plural: "ingressclasses",
    singular: "ingressclass",
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "ingressclasses",
    },
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_spec,
    validate,
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("spec.controller"), &old.at("spec.controller"));
        validate(new, errors);
    },
    columns: &[
        NAME,
        Column::text(
            "Controller",
            "Controller that is responsible for handling this class",
        ),
        Column::text(
            "Parameters",
            "A reference to a resource with additional parameters",
        ),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(class: &Node, errors: &mut Errors) {
    let controller = class.at("spec.controller");
    if controller.len() > 250 {
        errors.push(apimachinery::field::Error::too_long(&controller.path, 250));
    }
    errors.domain_prefixed_path(&controller);
    let parameters = class.at("spec.parameters");
    if !parameters.exists() {
        return;
    }
    errors.follows_if_set(&parameters.at("apiGroup"), names::dns_subdomain);
    for field in ["kind", "name"] {
        let node = parameters.at(field);
        if errors.require_because(&node, &format!("{field} is required")) {
            errors.follows(&node, names::path_segment);
        }
    }
    let (scope, namespace) = (parameters.at("scope"), parameters.at("namespace"));
    match scope.text() {
        "Namespace" => {
            if errors.require_because(&namespace, "`parameters.scope` is set to 'Namespace'") {
                errors.follows(&namespace, names::dns_label);
            }
        }
        "Cluster" => {
            let why = "`parameters.scope` is set to 'Cluster'";
            errors.forbid(&namespace, why);
        }
        "" => errors.required(&scope, ""),
        _ => {
            errors.one_of(&scope, &["Cluster", "Namespace"]);
        }
    }
}

fn row(class: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = meta::get(class, "spec.parameters").map_or(NONE.to_owned(), |parameters| {
        let kind = meta::text(parameters, "kind");
        let name = meta::text(parameters, "name");
        match meta::text(parameters, "apiGroup") {
            "" => format!("{kind}/{name}"),
            group => format!("{kind}.{group}/{name}"),
        }
    });
    vec![
        columns::name(class),
        meta::text(class, "spec.controller").into(),
        parameters.into(),
        columns::age(class, now),
    ]
}
