//! Validation of `LabelSelector` objects.

use apimachinery::field::Error;
use apimachinery::names;
use apimachinery::selector::LabelSelector;

use crate::errors::Errors;
use crate::node::Node;

pub fn validate(selector: &Node, errors: &mut Errors) {
    crate::object_meta::labels(&selector.at("matchLabels"), errors);
    for expression in selector.at("matchExpressions").items() {
        requirement(&expression, errors);
    }
}

fn requirement(expression: &Node, errors: &mut Errors) {
    let (operator, values) = (expression.at("operator"), expression.at("values"));
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
        _ => errors.invalid_text(&operator, "not a valid selector operator"),
    }
    errors.follows(&expression.at("key"), names::qualified);
    for value in values.items() {
        errors.follows(&value, names::label_value);
    }
}

/// The selector of a workload: there, valid, and not empty. `None` if it cannot be used.
pub fn of_workload(selector: &Node, kind: &str, errors: &mut Errors) -> Option<LabelSelector> {
    if !selector.exists() {
        errors.required(selector, "");
        return Some(LabelSelector::nothing());
    }
    validate(selector, errors);
    if selector.at("matchLabels").is_empty() && selector.at("matchExpressions").is_empty() {
        let why = format!("empty selector is invalid for {kind}");
        errors.push(Error::invalid(&selector.path, selector.value.clone(), why));
    }
    LabelSelector::from_object(selector.value).ok()
}
