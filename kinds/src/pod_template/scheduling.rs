//! What decides where a pod may run: selectors, tolerations, spreading, gates.

use apimachinery::field::Error;
use apimachinery::names;

use crate::errors::{Errors, Seen};
use crate::label_selector;
use crate::node::Node;

pub fn node_selector_map(selector: &Node, errors: &mut Errors) {
    crate::object_meta::labels(selector, errors);
}

const OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

/// A `NodeSelector` object: at least one term.
pub fn node_selector(selector: &Node, errors: &mut Errors) {
    let terms = selector.at("nodeSelectorTerms");
    if !errors.require_because(&terms, "must have at least one node selector term") {
        return;
    }
    for term in terms.items() {
        node_selector_term(&term, errors);
    }
}

pub fn node_selector_term(term: &Node, errors: &mut Errors) {
    for expression in term.at("matchExpressions").items() {
        expression_on_label(&expression, errors);
    }
    for expression in term.at("matchFields").items() {
        expression_on_field(&expression, errors);
    }
}

fn expression_on_label(expression: &Node, errors: &mut Errors) {
    let values = expression.at("values");
    let operator = expression.at("operator");
    match operator.text() {
        "In" | "NotIn" => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.require_because(&values, why);
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&values, why);
            }
        }
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let why = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.required(&values, why);
            }
        }
        _ => errors.invalid_text(&operator, "not a valid selector operator"),
    }
    errors.follows(&expression.at("key"), names::qualified);
    for value in values.items() {
        if !OPERATORS[..2].contains(&operator.text()) {
            break;
        }
        errors.follows(&value, names::label_value);
    }
}

fn expression_on_field(expression: &Node, errors: &mut Errors) {
    let (key, operator, values) = (
        expression.at("key"),
        expression.at("operator"),
        expression.at("values"),
    );
    match operator.text() {
        "In" | "NotIn" if values.len() == 1 => {}
        "In" | "NotIn" => {
            let why =
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.required(&values, why);
        }
        _ => errors.invalid_text(&operator, "not a valid selector operator"),
    }
    if key.text() != "metadata.name" {
        errors.invalid_text(&key, "not a valid field selector key");
        return;
    }
    for value in values.items() {
        errors.follows(&value, names::dns_subdomain);
    }
}

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub fn tolerations(tolerations: &Node, errors: &mut Errors) {
    for toleration in tolerations.items() {
        self::toleration(&toleration, errors);
    }
}

fn toleration(toleration: &Node, errors: &mut Errors) {
    let (key, operator, value) = (
        toleration.at("key"),
        toleration.at("operator"),
        toleration.at("value"),
    );
    let effect = toleration.at("effect");
    errors.follows_if_set(&key, names::qualified);
    if key.is_empty() && operator.text() != "Exists" {
        let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.invalid_text(&operator, why);
    }
    let seconds = toleration.at("tolerationSeconds");
    if seconds.exists() && effect.text() != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.invalid_text(&effect, why);
    }
    match operator.text() {
        "" | "Equal" => {
            errors.follows(&value, names::label_value);
        }
        "Exists" if !value.is_empty() => {
            let why = "value must be empty when `operator` is 'Exists'";
            errors.push(Error::invalid(
                &operator.path,
                toleration.value.clone(),
                why,
            ));
        }
        "Exists" => {}
        "Lt" | "Gt" => {
            if value.text().parse::<i64>().is_err() {
                errors.invalid_text(
                    &value,
                    "value must be an integer when `operator` is 'Lt' or 'Gt'",
                );
            }
        }
        _ => {
            errors.one_of(&operator, &["Equal", "Exists"]);
        }
    }
    if !effect.is_empty() {
        errors.one_of(&effect, EFFECTS);
    }
}

pub fn spread_constraints(constraints: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for constraint in constraints.items() {
        spread_constraint(&constraint, errors);
        let when = constraint.at("whenUnsatisfiable").text();
        let pair = format!("{{{}, {when}}}", constraint.at("topologyKey").text());
        if !seen.insert(pair.clone()) {
            let pair_path = constraint.path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&pair_path, pair));
        }
    }
}

fn spread_constraint(constraint: &Node, errors: &mut Errors) {
    let when = constraint.at("whenUnsatisfiable");
    positive(&constraint.at("maxSkew"), errors);
    let key = constraint.at("topologyKey");
    if errors.require_because(&key, "can not be empty") {
        errors.follows(&key, names::qualified);
    }
    errors.require_one_of(&when, &["DoNotSchedule", "ScheduleAnyway"]);
    let domains = constraint.at("minDomains");
    if domains.exists() {
        positive(&domains, errors);
        if when.text() != "DoNotSchedule" {
            let why = format!(
                "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                when.text()
            );
            errors.invalid(&domains, why);
        }
    }
    for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        errors.one_of_if_set(&constraint.at(policy), &["Honor", "Ignore"]);
    }
    label_selector::validate(&constraint.at("labelSelector"), errors);
    match_label_keys(constraint, "matchLabelKeys", errors);
}

/// Keys whose values are looked up in the pod's own labels.
pub fn match_label_keys(parent: &Node, field: &str, errors: &mut Errors) {
    let keys = parent.at(field);
    if !keys.is_empty() && !parent.at("labelSelector").exists() {
        errors.forbidden(&keys, "must not be specified when labelSelector is not set");
    }
    for key in keys.items() {
        errors.follows(&key, names::qualified);
    }
}

fn positive(node: &Node, errors: &mut Errors) {
    let value = node.int().unwrap_or(0);
    if value <= 0 {
        errors.push(Error::invalid(
            &node.path,
            value,
            "must be greater than zero",
        ));
    }
}

pub fn gates(gates: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for gate in gates.items() {
        let name = gate.at("name");
        errors.follows(&name, names::qualified);
        if !seen.insert(name.text().to_owned()) {
            errors.push(Error::duplicate(&gate.path, name.text()));
        }
    }
}

/// Devices that the pod claims: each by a claim or by a template of claims.
pub fn resource_claims(claims: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for claim in claims.items() {
        let name = claim.at("name");
        if errors.require_name(&name, names::dns_label) {
            errors.unique(&name, &mut seen);
        }
        let (direct, template) = (
            claim.at("resourceClaimName"),
            claim.at("resourceClaimTemplateName"),
        );
        if direct.exists() == template.exists() {
            let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            errors.push(Error::invalid(&claim.path, claim.value.clone(), why));
        }
        for reference in [&direct, &template] {
            errors.follows_if_set(reference, names::dns_subdomain);
        }
    }
}
