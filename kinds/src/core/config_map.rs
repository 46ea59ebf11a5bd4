//! ConfigMap.

use apimachinery::field::{Error, Path};
use apimachinery::{meta, names};
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Storage};
use crate::node::Node;

/// Everything in a ConfigMap or Secret together: 1 MiB.
pub const SIZE_MAX: usize = 1024 * 1024;

pub static KIND: Kind = Kind {
    kind: "ConfigMap",
    list_kind: "ConfigMapList",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    storage: Storage::Stored {
        prefix: "configmaps",
    },
    validate,
    validate_update,
    columns: &[NAME, Column::text("Data", "How many keys there are."), AGE],
    row,
    ..Kind::BASE
};

fn validate(map: &Node, errors: &mut Errors) {
    let (data, binary) = (map.at("data"), map.at("binaryData"));
    let mut size = 0;
    for (key, value) in data.entries() {
        if binary.map().is_some_and(|binary| binary.contains_key(key)) {
            let why = "duplicate of key present in binaryData";
            errors.push(Error::invalid(&value.path, key, why));
        }
        key_rule(key, &value, errors);
        size += value.len();
    }
    for (key, value) in binary.entries() {
        key_rule(key, &value, errors);
        size += decoded_len(value.text());
    }
    if size > SIZE_MAX {
        errors.push(Error::too_long(&Path::ROOT, SIZE_MAX));
    }
}

/// How many bytes a base64 text stands for.
pub fn decoded_len(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|&b| b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

fn key_rule(key: &str, value: &Node, errors: &mut Errors) {
    for problem in names::config_map_key(key) {
        errors.push(Error::invalid(&value.path, key, problem));
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    frozen(new, old, &["data", "binaryData"], errors);
    validate(new, errors);
}

/// What was once `immutable` stays so, and so does what it holds.
pub fn frozen(new: &Node, old: &Node, fields: &[&str], errors: &mut Errors) {
    if !old.at("immutable").is_true() {
        return;
    }
    let why = "field is immutable when `immutable` is set";
    let immutable = new.at("immutable");
    if !immutable.is_true() {
        errors.forbidden(&immutable, why);
    }
    for field in fields {
        let (now, before) = (new.at(field), old.at(field));
        let both_empty = now.is_empty() && before.is_empty();
        if now.value != before.value && !both_empty {
            errors.forbidden(&now, why);
        }
    }
}

fn row(map: &Value, now: Timestamp) -> Vec<Value> {
    let count = |field| meta::map(map, field).map_or(0, serde_json::Map::len);
    vec![
        columns::name(map),
        (count("data") + count("binaryData")).into(),
        columns::age(map, now),
    ]
}
