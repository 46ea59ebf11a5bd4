//! ValidatingAdmissionPolicy.

use apimachinery::{meta, names};
use expressions::{Environment, Type};
use serde_json::json;

use super::expression;
use super::policy::{default_policy, policy_row, validate_policy};
use crate::columns::{AGE, Column, NAME};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;

const MAX_ANNOTATIONS: usize = 20;
const MAX_ANNOTATION_EXPRESSION: usize = 5 * 1024;

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
    row: |policy, now| policy_row(policy, "spec.validations", now),
    ..Kind::BASE
};

fn validate(policy: &Node, errors: &mut Errors) {
    let spec = policy.at("spec");
    let environment = validate_policy(&spec, errors);
    let (validations, annotations) = (spec.at("validations"), spec.at("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        errors.required(
            &validations,
            "validations or auditAnnotations must contain at least one item",
        );
        errors.required(
            &annotations,
            "validations or auditAnnotations must contain at least one item",
        );
    }
    for validation in validations.items() {
        validate_validation(&validation, &environment, errors);
    }
    validate_annotations(policy, &annotations, environment, errors);
}

fn validate_validation(validation: &Node, environment: &Environment, errors: &mut Errors) {
    let condition = environment.clone().returning(Type::Bool);
    let expression = validation.at("expression");
    if expression.text().trim().is_empty() {
        errors.required(&expression, "expression is not specified");
    } else {
        expression::check(&expression, &condition, errors);
    }
    let (message, built) = (validation.at("message"), validation.at("messageExpression"));
    if message.exists() && message.text().trim().is_empty() {
        errors.invalid_text(&message, "message must be non-empty if specified");
    } else if message.text().contains('\n') {
        errors.invalid_text(&message, "message must not contain line breaks");
    } else if expression.text().trim().contains('\n') && message.is_empty() && built.is_empty() {
        let why = "message must be specified if expression contains line breaks";
        errors.required(&message, why);
    }
    if built.exists() {
        let text = environment.clone().returning(Type::String);
        expression::check(&built, &text, errors);
    }
    let reasons = &[
        "Forbidden",
        "Invalid",
        "RequestEntityTooLarge",
        "Unauthorized",
    ];
    errors.one_of_if_set(&validation.at("reason"), reasons);
}

fn validate_annotations(
    policy: &Node,
    annotations: &Node,
    environment: Environment,
    errors: &mut Errors,
) {
    if !errors.at_most(annotations, MAX_ANNOTATIONS) {
        return;
    }
    let text = environment.returning(Type::String).returning(Type::Null);
    let mut seen = Seen::new();
    for annotation in annotations.items() {
        let key = annotation.at("key");
        if errors.require_because(&key, "key is not specified") {
            let whole = format!("{}/{}", meta::name(policy.value), key.text());
            for problem in names::qualified(&whole) {
                errors.invalid_text(&key, problem);
            }
        }
        errors.unique(&key, &mut seen);
        let value = annotation.at("valueExpression");
        errors.within(&value, MAX_ANNOTATION_EXPRESSION);
        if value.text().trim().is_empty() {
            errors.required(&value, "valueExpression is not specified");
        } else {
            expression::check(&value, &text, errors);
        }
    }
}
