//! ValidatingAdmissionPolicy.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::policy::{default_policy, validate_policy};
use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::or_none;

pub static KIND: Kind = Kind {
    group: "admissionregistration.k8s.io",
    kind: "ValidatingAdmissionPolicy",
    list_kind: "ValidatingAdmissionPolicyList",
    plural: "validatingadmissionpolicies",
    singular: "validatingadmissionpolicy",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
    ))],
    storage: Storage::Stored {
        prefix: "validatingadmissionpolicies",
    },
    default: default_policy,
    prepare_create: |policy| {
        prepare::new_generation(policy);
        policy["status"] = json!({});
    },
    prepare_update: prepare::keep_status,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::count("Validations", "How many expressions are checked."),
        Column::text("ParamKind", "The kind of its parameters."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(policy: &Node, errors: &mut Errors) {
    let spec = policy.at("spec");
    validate_policy(&spec, errors);
    let validations = spec.at("validations");
    if validations.is_empty() && spec.at("auditAnnotations").is_empty() {
        errors.required(
            &validations,
            "validations or auditAnnotations must contain at least one item",
        );
    }
    for validation in validations.items() {
        errors.require_because(&validation.at("expression"), "expression is not specified");
        let reasons = &[
            "Forbidden",
            "Invalid",
            "RequestEntityTooLarge",
            "Unauthorized",
        ];
        errors.one_of_if_set(&validation.at("reason"), reasons);
    }
}

fn row(policy: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = match meta::text(policy, "spec.paramKind.kind") {
        "" => String::new(),
        kind => format!("{}/{kind}", meta::text(policy, "spec.paramKind.apiVersion")),
    };
    vec![
        columns::name(policy),
        meta::items(policy, "spec.validations").len().into(),
        or_none(&parameters).into(),
        columns::age(policy, now),
    ]
}
