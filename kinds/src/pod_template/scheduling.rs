//! What decides where a pod may run: selectors, tolerations, spreading, gates.

use apimachinery::field::Error;
use apimachinery::names;

use crate::errors::{Errors, Seen};
use crate::label_selector;
use crate::node::Node;

pub fn node_selector_map(selector: &Node, errors: &mut Errors) {
    crate::object_meta::labels(selector, errors);
}

/// Whether the values of a node selector must be able to be a label's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum LabelValues {
    Valid,
    Any,
}

/// A `NodeSelector` object: at least one term.
pub fn node_selector(selector: &Node, errors: &mut Errors) {
    let terms = selector.at("nodeSelectorTerms");
    if !errors.require_because(&terms, "must have at least one node selector term") {
        return;
    }
    for term in terms.items() {
        node_selector_term(&term, LabelValues::Valid, errors);
    }
}

pub fn node_selector_term(term: &Node, label_values: LabelValues, errors: &mut Errors) {
    for expression in term.at("matchExpressions").items() {
        expression_on_label(&expression, label_values, errors);
    }
    for expression in term.at("matchFields").items() {
        expression_on_field(&expression, errors);
    }
}

fn expression_on_label(expression: &Node, label_values: LabelValues, errors: &mut Errors) {
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
    if label_values == LabelValues::Valid {
        for value in values.items() {
            errors.follows(&value, names::label_value);
        }
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
            let problems = names::label_value(value.text());
            if !problems.is_empty() {
                let why = problems.join(";");
                errors.push(Error::invalid(&operator.path, value.text(), why));
            }
        }
        "Exists" if !value.is_empty() => {
            let why = "value must be empty when `operator` is 'Exists'";
            errors.push(Error::invalid(&operator.path, value.text(), why));
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
    for (index, constraint) in constraints.items().enumerate() {
        spread_constraint(&constraint, errors);
        let pair = pair(&constraint);
        let rest = constraints.items().skip(index + 1);
        if rest.into_iter().any(|other| self::pair(&other) == pair) {
            let pair_path = constraint.path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&pair_path, pair));
        }
        spread_details(&constraint, errors);
    }
}

/// Two constraints of the same key and action would be one.
fn pair(constraint: &Node) -> String {
    let (key, action) = (
        constraint.at("topologyKey").text(),
        constraint.at("whenUnsatisfiable").text(),
    );
    format!("{{{key}, {action}}}")
}

fn spread_constraint(constraint: &Node, errors: &mut Errors) {
    positive(&constraint.at("maxSkew"), errors);
    errors.require_because(&constraint.at("topologyKey"), "can not be empty");
    let when = constraint.at("whenUnsatisfiable");
    errors.one_of(&when, &["DoNotSchedule", "ScheduleAnyway"]);
}

fn spread_details(constraint: &Node, errors: &mut Errors) {
    let domains = constraint.at("minDomains");
    if domains.exists() {
        positive(&domains, errors);
        let when = constraint.at("whenUnsatisfiable").text();
        if when != "DoNotSchedule" {
            let why =
                format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
            errors.invalid(&domains, why);
        }
    }
    for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        errors.one_of_if_set(&constraint.at(policy), &["Honor", "Ignore"]);
    }
    match_label_keys(constraint, errors);
    label_selector::validate(&constraint.at("labelSelector"), errors);
}

/// Keys whose values are looked up in the pod's own labels.
fn match_label_keys(constraint: &Node, errors: &mut Errors) {
    let (keys, selector) = (
        constraint.at("matchLabelKeys"),
        constraint.at("labelSelector"),
    );
    if !keys.is_empty() && !selector.exists() {
        errors.forbidden(&keys, "must not be specified when labelSelector is not set");
    }
    let (labels, expressions) = (selector.at("matchLabels"), selector.at("matchExpressions"));
    for key in keys.items() {
        errors.follows(&key, names::qualified);
        let mut expressions = expressions.items();
        let selected = labels.map().is_some_and(|all| all.contains_key(key.text()))
            || expressions.any(|expression| expression.at("key").text() == key.text());
        if selected {
            errors.invalid(&key, "exists in both matchLabelKeys and labelSelector");
        }
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
        let name = gate.at("name").text();
        for problem in names::qualified(name) {
            errors.push(Error::invalid(&gate.path, name, problem));
        }
        if !seen.insert(name.to_owned()) {
            errors.push(Error::duplicate(&gate.path, name));
        }
    }
}

/// Devices that the pod claims: each by a claim or by a template of claims.
pub fn resource_claims(claims: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for claim in claims.items() {
        let name = claim.at("name");
        if errors.require(&name) && errors.unique(&name, &mut seen) {
            errors.follows(&name, names::dns_label);
        }
        let (direct, template) = (
            claim.at("resourceClaimName"),
            claim.at("resourceClaimTemplateName"),
        );
        match (direct.exists(), template.exists()) {
            (true, true) => errors.invalid(
                &claim,
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            ),
            (false, false) => errors.invalid(
                &claim,
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            ),
            _ => {}
        }
        for reference in [&direct, &template] {
            if reference.exists() {
                errors.follows(reference, names::dns_subdomain);
            }
        }
    }
}
