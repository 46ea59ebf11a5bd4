//! LimitRange.

use apimachinery::Quantity;
use apimachinery::field::Error;
use apimachinery::names;
use serde_json::{Map, Value};

use crate::defaults::{canonical_amounts, each, is};
use crate::errors::{Errors, Seen};
use crate::kind::{Kind, Storage};
use crate::node::Node;

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

fn validate(range: &Node, errors: &mut Errors) {
    let mut seen = Seen::new();
    for item in range.at("spec.limits").items() {
        let kind = item.at("type");
        errors.follows(&kind, names::qualified);
        errors.unique(&kind, &mut seen);
        if kind.text() == "Pod" {
            for field in ["default", "defaultRequest"] {
                let amounts = item.at(field);
                if !amounts.is_empty() {
                    let why = "may not be specified when `type` is 'Pod'";
                    errors.forbidden(&amounts, why);
                }
            }
        }
        if kind.text() == "PersistentVolumeClaim" {
            let asks = |field| {
                item.at(field)
                    .map()
                    .is_some_and(|m| m.contains_key("storage"))
            };
            if !asks("min") && !asks("max") {
                let why =
                    "either minimum or maximum storage value is required, but neither was provided";
                errors.required(&item, why);
            }
        }
        order(&item, errors);
    }
}

/// min <= defaultRequest <= default <= max, for each resource.
fn order(item: &Node, errors: &mut Errors) {
    let amount = |field: &str, name: &str| {
        let node = item.at(field);
        node.map()
            .and_then(|all| all.get(name))
            .and_then(|a| Quantity::from_json(a).ok())
    };
    let lists = AMOUNTS.map(|field| item.at(field));
    let mut names: Vec<&String> = lists
        .iter()
        .filter_map(Node::map)
        .flat_map(Map::keys)
        .collect();
    names.sort();
    names.dedup();
    let rules = [
        ("min", "min", "max"),
        ("defaultRequest", "defaultRequest", "max"),
        ("default", "default", "max"),
        ("min", "min", "default"),
        ("min", "min", "defaultRequest"),
        ("defaultRequest", "defaultRequest", "default"),
    ];
    for name in names {
        for (at, low, high) in rules {
            let (Some(a), Some(b)) = (amount(low, name), amount(high, name)) else {
                continue;
            };
            if a > b {
                let path = item.at(at);
                let why = format!("{low} value {a} is greater than {high} value {b}");
                errors.push(Error::invalid(&path.path.key(name), a.to_string(), why));
            }
        }
    }
}
