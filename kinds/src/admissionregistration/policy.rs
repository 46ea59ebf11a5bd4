//! What admission policies and their bindings have in common.

use apimachinery::{meta, names};
use expressions::{Environment, Type, admission};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::expression;
use super::webhook::validate_rule;
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{each, object, set_default, set_text, with};
use crate::errors::{Errors, Seen};
use crate::label_selector;
use crate::node::Node;
use crate::text_cells::or_none;

pub const BINDING_COLUMNS: &[Column] = &[
    NAME,
    Column::text("PolicyName", "The policy that is put in force."),
    Column::text("ParamRef", "Where its parameters are."),
    AGE,
];

pub fn default_policy(policy: &mut Value) {
    let spec = object(policy, "spec");
    set_text(spec, "failurePolicy", "Fail");
    with(spec, "matchConstraints", default_match);
}

pub fn default_binding(binding: &mut Value) {
    let spec = object(binding, "spec");
    with(spec, "matchResources", default_match);
}

fn default_match(resources: &mut Value) {
    set_text(resources, "matchPolicy", "Equivalent");
    set_default(resources, "namespaceSelector", json!({}));
    set_default(resources, "objectSelector", json!({}));
    for rules in ["resourceRules", "excludeResourceRules"] {
        each(resources, rules, |rule| set_text(rule, "scope", "*"));
    }
}

/// The parts of a policy that do not depend on what it does; gives what its expressions
/// may ask.
pub fn validate_policy(spec: &Node, errors: &mut Errors) -> Environment {
    let constraints = spec.at("matchConstraints");
    if constraints.exists() {
        errors.require(&constraints.at("resourceRules"));
        validate_match(&constraints, errors);
    } else {
        errors.required(&constraints, "");
    }
    errors.one_of_if_set(&spec.at("failurePolicy"), &["Fail", "Ignore"]);
    let parameters = spec.at("paramKind");
    if parameters.exists() {
        errors.require(&parameters.at("apiVersion"));
        errors.require(&parameters.at("kind"));
    }
    let mut environment = admission::policy(parameters.exists());
    validate_variables(&spec.at("variables"), &mut environment, errors);
    expression::check_conditions(&spec.at("matchConditions"), &environment, errors);
    environment
}

/// Each may use those before it.
fn validate_variables(variables: &Node, environment: &mut Environment, errors: &mut Errors) {
    let mut seen = Seen::new();
    for variable in variables.items() {
        let name = variable.at("name");
        errors.require_name(&name, names::c_identifier);
        errors.unique(&name, &mut seen);
        let program = expression::check(&variable.at("expression"), environment, errors);
        let kind = program.map_or(Type::Dyn, |program| program.result().clone());
        environment.add_computed(name.text(), kind);
    }
}

fn validate_match(resources: &Node, errors: &mut Errors) {
    errors.one_of_if_set(&resources.at("matchPolicy"), &["Equivalent", "Exact"]);
    label_selector::validate(&resources.at("namespaceSelector"), errors);
    label_selector::validate(&resources.at("objectSelector"), errors);
    for rules in ["resourceRules", "excludeResourceRules"] {
        for rule in resources.at(rules).items() {
            validate_rule(&rule, errors);
        }
    }
}

pub fn validate_binding(spec: &Node, errors: &mut Errors) {
    errors.require_name(&spec.at("policyName"), names::dns_subdomain);
    validate_match(&spec.at("matchResources"), errors);
    let parameters = spec.at("paramRef");
    if !parameters.exists() {
        return;
    }
    let (name, selector) = (parameters.at("name"), parameters.at("selector"));
    if name.is_empty() != selector.exists() {
        let why = "one of name or selector must be specified";
        errors.required(&parameters, why);
    }
    let action = parameters.at("parameterNotFoundAction");
    errors.require_one_of(&action, &["Allow", "Deny"]);
}

/// `rules` is where the policy lists what it does.
pub fn policy_row(policy: &Value, rules: &str, now: Timestamp) -> Vec<Value> {
    let parameters = match meta::text(policy, "spec.paramKind.kind") {
        "" => String::new(),
        kind => format!("{}/{kind}", meta::text(policy, "spec.paramKind.apiVersion")),
    };
    vec![
        columns::name(policy),
        meta::items(policy, rules).len().into(),
        or_none(&parameters).into(),
        columns::age(policy, now),
    ]
}

pub fn binding_row(binding: &Value, now: Timestamp) -> Vec<Value> {
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
