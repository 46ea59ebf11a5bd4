//! MutatingAdmissionPolicy.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use super::policy::{default_policy, validate_policy};
use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::or_none;

pub static KIND: Kind = Kind {
    group: "admissionregistration.k8s.io",
    kind: "MutatingAdmissionPolicy",
    list_kind: "MutatingAdmissionPolicyList",
    plural: "mutatingadmissionpolicies",
    singular: "mutatingadmissionpolicy",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "mutatingadmissionpolicies",
    },
    default: default_policy,
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_spec,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::count("Mutations", "How many changes are made."),
        Column::text("ParamKind", "The kind of its parameters."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(policy: &Node, errors: &mut Errors) {
    let spec = policy.at("spec");
    validate_policy(&spec, errors);
    let mutations = spec.at("mutations");
    errors.require(&mutations);
    for mutation in mutations.items() {
        let kind = mutation.at("patchType");
        errors.require_one_of(&kind, &["ApplyConfiguration", "JSONPatch"]);
        let field = if kind.text() == "JSONPatch" {
            "jsonPatch"
        } else {
            "applyConfiguration"
        };
        errors.require(&mutation.at(field));
    }
    errors.require_one_of(&spec.at("reinvocationPolicy"), &["IfNeeded", "Never"]);
}

fn row(policy: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = match meta::text(policy, "spec.paramKind.kind") {
        "" => String::new(),
        kind => format!("{}/{kind}", meta::text(policy, "spec.paramKind.apiVersion")),
    };
    vec![
        columns::name(policy),
        meta::items(policy, "spec.mutations").len().into(),
        or_none(&parameters).into(),
        columns::age(policy, now),
    ]
}
