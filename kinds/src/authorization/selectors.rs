//! Selectors narrow what is asked about: as text, or as requirements.

use apimachinery::names;

use crate::errors::Errors;
use crate::node::Node;

const OPERATORS: &[&str] = &["DoesNotExist", "Exists", "In", "NotIn"];

pub fn validate(resource: &Node, errors: &mut Errors) {
    let fields = resource.at("fieldSelector");
    validate_selector(&fields, errors);
    let labels = resource.at("labelSelector");
    validate_selector(&labels, errors);
    for requirement in labels.at("requirements").items() {
        let key = requirement.at("key");
        if !key.is_empty() {
            errors.follows(&key, names::qualified);
        }
    }
}

fn validate_selector(selector: &Node, errors: &mut Errors) {
    if !selector.exists() {
        return;
    }
    let raw = selector.at("rawSelector");
    let requirements = selector.at("requirements");
    match (raw.text().is_empty(), requirements.is_empty()) {
        (false, false) => {
            let why = "may not specified at the same time as requirements";
            errors.invalid(&raw, why);
        }
        (true, true) => {
            let why = "when fieldSelector or labelSelector is specified, requirements or rawSelector is required";
            errors.required(&requirements, why);
        }
        _ => {}
    }
    for requirement in requirements.items() {
        validate_requirement(&requirement, errors);
    }
}

fn validate_requirement(requirement: &Node, errors: &mut Errors) {
    errors.require_because(&requirement.at("key"), "must be specified");
    let (operator, values) = (requirement.at("operator"), requirement.at("values"));
    errors.one_of(&operator, OPERATORS);
    match operator.text() {
        "In" | "NotIn" => {
            let why = "must be specified when `operator` is 'In' or 'NotIn'";
            errors.require_because(&values, why);
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.forbidden(&values, why);
        }
        _ => {}
    }
}
