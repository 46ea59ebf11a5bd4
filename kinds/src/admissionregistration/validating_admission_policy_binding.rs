//! ValidatingAdmissionPolicyBinding.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use super::policy::{default_binding, validate_binding};
use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::prepare;
use crate::text_cells::or_none;

pub static KIND: Kind = Kind {
    group: "admissionregistration.k8s.io",
    kind: "ValidatingAdmissionPolicyBinding",
    list_kind: "ValidatingAdmissionPolicyBindingList",
    plural: "validatingadmissionpolicybindings",
    singular: "validatingadmissionpolicybinding",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "validatingadmissionpolicybindings",
    },
    default: default_binding,
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_spec,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[
        NAME,
        Column::text("PolicyName", "The policy that is put in force."),
        Column::text("ParamRef", "Where its parameters are."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn validate(binding: &Node, errors: &mut Errors) {
    let spec = binding.at("spec");
    validate_binding(&spec, errors);
    let actions = spec.at("validationActions");
    errors.require(&actions);
    for action in actions.items() {
        errors.one_of(&action, &["Audit", "Deny", "Warn"]);
    }
}

fn row(binding: &Value, now: Timestamp) -> Vec<Value> {
    let (namespace, name) = (
        meta::text(binding, "spec.paramRef.namespace"),
        meta::text(binding, "spec.paramRef.name"),
    );
    let parameters = match (namespace, name) {
        (_, "") => String::new(),
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    vec![
        columns::name(binding),
        meta::text(binding, "spec.policyName").into(),
        or_none(&parameters).into(),
        columns::age(binding, now),
    ]
}
