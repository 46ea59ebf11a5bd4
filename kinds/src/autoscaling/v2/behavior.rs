//! How fast an autoscaler scales.

use serde_json::{Value, json};

use crate::defaults::{each, object, set_default};
use crate::errors::Errors;
use crate::node::Node;

/// An hour.
const WINDOW_MAX: i64 = 3600;
/// Half an hour.
const PERIOD_MAX: i64 = 1800;

/// A behavior that is there is complete.
pub fn default(behavior: &mut Value) {
    let fast = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
    let up = object(behavior, "scaleUp");
    set_default(up, "selectPolicy", "Max");
    set_default(up, "stabilizationWindowSeconds", 0);
    let fast_or_four = json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, fast[0]]);
    set_default(up, "policies", fast_or_four);
    let down = object(behavior, "scaleDown");
    set_default(down, "selectPolicy", "Max");
    set_default(down, "policies", fast);
    for rules in ["scaleUp", "scaleDown"] {
        each(object(behavior, rules), "policies", |policy| {
            set_default(policy, "periodSeconds", 15);
        });
    }
}

pub fn validate(behavior: &Node, errors: &mut Errors) {
    for rules in ["scaleUp", "scaleDown"] {
        let rules = behavior.at(rules);
        if rules.exists() {
            validate_rules(&rules, errors);
        }
    }
}

fn validate_rules(rules: &Node, errors: &mut Errors) {
    let window = rules.at("stabilizationWindowSeconds");
    let seconds = window.int().unwrap_or(0);
    if seconds < 0 {
        errors.invalid(&window, "must be greater than or equal to zero");
    } else if seconds > WINDOW_MAX {
        let why = format!("must be less than or equal to {WINDOW_MAX}");
        errors.invalid(&window, why);
    }
    errors.one_of_if_set(&rules.at("selectPolicy"), &["Disabled", "Max", "Min"]);
    let policies = rules.at("policies");
    errors.require_because(&policies, "must specify at least one Policy");
    for policy in policies.items() {
        validate_policy(&policy, errors);
    }
    let tolerance = rules.at("tolerance");
    if let Ok(amount) = apimachinery::Quantity::from_json(tolerance.value)
        && amount.is_negative()
    {
        errors.invalid(&tolerance, "must be greater or equal to zero");
    }
}

fn validate_policy(policy: &Node, errors: &mut Errors) {
    errors.one_of(&policy.at("type"), &["Percent", "Pods"]);
    for field in ["value", "periodSeconds"] {
        let node = policy.at(field);
        if node.int().unwrap_or(0) <= 0 {
            errors.invalid(&node, "must be greater than zero");
        }
    }
    let period = policy.at("periodSeconds");
    if period.int().is_some_and(|seconds| seconds > PERIOD_MAX) {
        let why = format!("must be less than or equal to {PERIOD_MAX}");
        errors.invalid(&period, why);
    }
}
