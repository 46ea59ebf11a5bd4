//! What an autoscaler looks at.

use apimachinery::field::Error;
use apimachinery::names;

use super::{METRICS, reference};
use crate::errors::Errors;
use crate::node::Node;

pub fn validate(metric: &Node, errors: &mut Errors) {
    let kind = metric.at("type");
    let known: Vec<&str> = METRICS.iter().map(|(kind, _)| *kind).collect();
    errors.require_because(&kind, "must specify a metric source type");
    errors.one_of(&kind, &known);
    let mut present = 0;
    for (_, field) in METRICS {
        let source = metric.at(field);
        if source.exists() {
            present += 1;
            if present == 1 {
                validate_source(field, &source, errors);
            }
        }
    }
    let expected = METRICS.iter().find(|(name, _)| *name == kind.text());
    let expected = expected.map_or("", |(_, field)| field);
    let source = metric.at(expected);
    if !expected.is_empty() && !source.exists() {
        let why = "must populate information for the given metric source";
        errors.required(&source, why);
    }
    for (_, field) in METRICS.iter().filter(|(_, field)| *field != expected) {
        let why = "must populate the given metric source only";
        errors.forbid(&metric.at(field), why);
    }
}

fn validate_source(field: &str, source: &Node, errors: &mut Errors) {
    let target = source.at("target");
    match field {
        "object" => {
            reference(&source.at("describedObject"), errors);
            identifier(&source.at("metric"), errors);
            validate_target(&target, errors);
            let why = "must set either a target value or averageValue";
            either(&target, "value", "averageValue", why, None, errors);
        }
        "external" => {
            identifier(&source.at("metric"), errors);
            validate_target(&target, errors);
            let none = "must set either a target value for metric or a per-pod target";
            let both = "may not set both a target value for metric and a per-pod target";
            either(&target, "value", "averageValue", none, Some(both), errors);
        }
        "pods" => {
            identifier(&source.at("metric"), errors);
            validate_target(&target, errors);
            if !is_positive(&target.at("averageValue")) {
                let why = "must specify a positive target averageValue";
                errors.required(&target.at("averageValue"), why);
            }
        }
        _ => resource(source, &target, field, errors),
    }
}

fn resource(source: &Node, target: &Node, field: &str, errors: &mut Errors) {
    errors.require_because(&source.at("name"), "must specify a resource name");
    if field == "containerResource" {
        errors.require_because(&source.at("container"), "must specify a container");
    }
    validate_target(target, errors);
    let none = "must set either a target raw value or a target utilization";
    let both = "may not set both a target raw value and a target utilization";
    let (one, other) = ("averageValue", "averageUtilization");
    either(target, one, other, none, Some(both), errors);
}

/// One of two fields must be there; where neither is, the second is told, where both are,
/// the first.
fn either(
    target: &Node,
    one: &str,
    other: &str,
    none: &str,
    both: Option<&str>,
    errors: &mut Errors,
) {
    let (first, second) = (target.at(one), target.at(other));
    match (first.exists(), second.exists(), both) {
        (false, false, _) => errors.required(&second, none),
        (true, true, Some(both)) => errors.forbidden(&first, both),
        _ => {}
    }
}

fn identifier(metric: &Node, errors: &mut Errors) {
    let name = metric.at("name");
    if errors.require_because(&name, "must specify a metric name") {
        errors.follows(&name, names::path_segment);
    }
}

fn is_positive(amount: &Node) -> bool {
    apimachinery::Quantity::from_json(amount.value)
        .is_ok_and(|amount| !amount.is_zero() && !amount.is_negative())
}

fn validate_target(target: &Node, errors: &mut Errors) {
    let kind = target.at("type");
    errors.require_because(&kind, "must specify a metric target type");
    if !matches!(kind.text(), "Utilization" | "Value" | "AverageValue") {
        let why = "must be either Utilization, Value, or AverageValue";
        errors.push(Error::invalid(&kind.path, kind.text(), why));
    }
    for field in ["value", "averageValue"] {
        let value = target.at(field);
        if value.exists() && !is_positive(&value) {
            errors.invalid(&value, "must be positive");
        }
    }
    let utilization = target.at("averageUtilization");
    if utilization.int().is_some_and(|percent| percent < 1) {
        errors.invalid(&utilization, "must be greater than 0");
    }
}
