//! LimitRange.

use std::collections::BTreeSet;

use apimachinery::Quantity;
use apimachinery::field::Error;
use apimachinery::names;
use serde_json::{Map, Value};

use crate::defaults::{canonical_amounts, each, is};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Storage};
use crate::node::Node;
use crate::pod_template;
use crate::resource_names as known;

pub static KIND: Kind = Kind {
    kind: "LimitRange",
    list_kind: "LimitRangeList",
    plural: "limitranges",
    singular: "limitrange",
    short_names: &["limits"],
    storage: Storage::Stored {
        prefix: "limitranges",
    },
    create_on_update: true,
    default,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    ..Kind::BASE
};

const AMOUNTS: [&str; 5] = [
    "max",
    "min",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
];

fn default(range: &mut Value) {
    if let Some(spec) = range.get_mut("spec") {
        each(spec, "limits", item);
    }
}

/// Containers get what they may have at most, and ask for that, if nothing else is said.
fn item(item: &mut Value) {
    for amounts in AMOUNTS {
        canonical_amounts(item, amounts);
    }
    if !is(item, "type", "Container") {
        return;
    }
    inherit(item, "default", "max");
    inherit(item, "defaultRequest", "default");
    inherit(item, "defaultRequest", "min");
}

fn inherit(item: &mut Value, to: &str, from: &str) {
    let Some(source) = item.get(from).and_then(Value::as_object).cloned() else {
        return;
    };
    let mut amounts: Map<String, Value> = item
        .get(to)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (name, amount) in source {
        amounts.entry(name).or_insert(amount);
    }
    if !amounts.is_empty() {
        item[to] = amounts.into();
    }
}

const TYPES: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];

fn validate(range: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for item in range.at("spec.limits").items() {
        let kind = item.at("type");
        if errors.follows(&kind, names::qualified)
            && !kind.text().contains('/')
            && !TYPES.contains(&kind.text())
        {
            let why = "must be a standard limit type or fully qualified";
            errors.invalid(&kind, why);
        }
        errors.unique(&kind, &mut seen);
        resource_names(&item, errors);
        storage_of_claims(&item, errors);
        for name in names_in(&item) {
            order(&item, &name, errors);
            ratio(&item, &name, errors);
            same_default(&item, &name, errors);
        }
    }
}

fn resource_names(item: &Node, errors: &mut Errors) {
    let kind = item.at("type").text();
    for field in AMOUNTS {
        let amounts = item.at(field);
        if kind == "Pod" && field.starts_with("default") {
            if !amounts.is_empty() {
                let why = "may not be specified when `type` is 'Pod'";
                errors.forbidden(&amounts, why);
            }
            continue;
        }
        for (name, amount) in amounts.entries() {
            if matches!(kind, "Pod" | "Container") {
                pod_template::container_resource_name(name, &amount, errors);
            } else {
                pod_template::resource_name(name, &amount, errors);
            }
        }
    }
}

fn storage_of_claims(item: &Node, errors: &mut Errors) {
    if item.at("type").text() != "PersistentVolumeClaim" {
        return;
    }
    let asks = |field| amount(item, field, "storage").is_some();
    if !asks("min") && !asks("max") {
        let why = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&item.at("limits"), why);
    }
}

fn amount(item: &Node, field: &str, name: &str) -> Option<Quantity> {
    let amounts = item.at(field);
    let amount = amounts.map().and_then(|all| all.get(name))?;
    Quantity::from_json(amount).ok()
}

fn names_in(item: &Node) -> BTreeSet<String> {
    let lists = AMOUNTS.map(|field| item.at(field));
    let keys = lists.iter().filter_map(Node::map).flat_map(Map::keys);
    keys.cloned().collect()
}

/// (where it is told, the lower, the higher, what they are called)
const ORDER: [(&str, &str, &str, &str, &str); 6] = [
    ("min", "min", "max", "min", "max"),
    (
        "defaultRequest",
        "min",
        "defaultRequest",
        "min",
        "default request",
    ),
    (
        "defaultRequest",
        "defaultRequest",
        "max",
        "default request",
        "max",
    ),
    (
        "defaultRequest",
        "defaultRequest",
        "default",
        "default request",
        "default limit",
    ),
    ("default", "min", "default", "min", "default"),
    ("default", "default", "max", "default", "max"),
];

/// min <= defaultRequest <= default <= max.
fn order(item: &Node, name: &str, errors: &mut Errors) {
    for (at, low, high, low_word, high_word) in ORDER {
        let (Some(a), Some(b)) = (amount(item, low, name), amount(item, high, name)) else {
            continue;
        };
        if a <= b {
            continue;
        }
        let shown = match (at, low, high) {
            ("default", "min", _) | ("min", ..) => a,
            ("default", _, _) => b,
            _ => amount(item, at, name).unwrap_or(a),
        };
        let list = item.at(at);
        let why = format!("{low_word} value {a} is greater than {high_word} value {b}");
        errors.push(Error::invalid(&list.path.key(name), shown.to_string(), why));
    }
}

fn ratio(item: &Node, name: &str, errors: &mut Errors) {
    let Some(ratio) = amount(item, "maxLimitRequestRatio", name) else {
        return;
    };
    let list = item.at("maxLimitRequestRatio");
    let path = list.path.key(name);
    if ratio < Quantity::from_milli(1000) {
        let why = format!("ratio {ratio} is less than 1");
        errors.push(Error::invalid(&path, ratio.to_string(), why));
    }
    let (Some(least), Some(most)) = (amount(item, "min", name), amount(item, "max", name)) else {
        return;
    };
    let limit = most.as_f64() / least.as_f64();
    if ratio.as_f64() > limit {
        let why = format!("ratio {ratio} is greater than max/min = {limit:.6}");
        errors.push(Error::invalid(&path, ratio.to_string(), why));
    }
}

/// What cannot be promised twice is requested as it is limited.
fn same_default(item: &Node, name: &str, errors: &mut Errors) {
    let (Some(limit), Some(request)) = (
        amount(item, "default", name),
        amount(item, "defaultRequest", name),
    ) else {
        return;
    };
    if limit != request && !known::may_be_overcommitted(name) {
        let list = item.at("defaultRequest");
        let why =
            format!("default value {limit} must equal to defaultRequest value {request} in {name}");
        errors.push(Error::invalid(
            &list.path.key(name),
            request.to_string(),
            why,
        ));
    }
}
