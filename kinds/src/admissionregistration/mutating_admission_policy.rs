//! MutatingAdmissionPolicy.

use expressions::{Environment, admission};

use super::expression;
use super::policy::{default_policy, policy_row, validate_policy};
use crate::columns::{AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::prepare;

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
    row: |policy, now| policy_row(policy, "spec.mutations", now),
    ..Kind::BASE
};

fn validate(policy: &Node, errors: &mut Errors) {
    let spec = policy.at("spec");
    let environment = validate_policy(&spec, errors);
    let mutations = spec.at("mutations");
    errors.require(&mutations);
    for mutation in mutations.items() {
        validate_mutation(&mutation, &environment, errors);
    }
    errors.require_one_of(&spec.at("reinvocationPolicy"), &["IfNeeded", "Never"]);
}

fn validate_mutation(mutation: &Node, environment: &Environment, errors: &mut Errors) {
    let kind = mutation.at("patchType");
    errors.require_one_of(&kind, &["ApplyConfiguration", "JSONPatch"]);
    let (wanted, other, environment) = match kind.text() {
        "JSONPatch" => {
            let environment = admission::json_patch(environment.clone());
            ("jsonPatch", "applyConfiguration", environment)
        }
        "ApplyConfiguration" => {
            let environment = admission::apply_configuration(environment.clone());
            ("applyConfiguration", "jsonPatch", environment)
        }
        _ => return,
    };
    let change = mutation.at(wanted);
    if change.exists() {
        expression::check(&change.at("expression"), &environment, errors);
    } else {
        errors.required(
            &change,
            &format!("must be specified when patchType is {}", kind.text()),
        );
    }
    let other = mutation.at(other);
    if other.exists() {
        let why = format!("must not be specified when patchType is {}", kind.text());
        errors.invalid_place(&other, why);
    }
}
