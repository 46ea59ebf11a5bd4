//! `x-kubernetes-list-type`, its keys, and `x-kubernetes-map-type`.

use std::collections::HashSet;

use apimachinery::field::{Error, Path};
use serde_json::Value;

use super::{Level, demand_type, each_core, flag, text};

const LIST_TYPE: &str = "x-kubernetes-list-type";
const KEYS: &str = "x-kubernetes-list-map-keys";
const MAP_TYPE: &str = "x-kubernetes-map-type";

pub(super) fn check(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    each_core(schema, Level::Root, path, &mut |schema, _, path| {
        here(schema, path, errors)
    });
}

fn here(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    if schema.get(MAP_TYPE).is_some() {
        let why = "must be object if x-kubernetes-map-type is specified";
        demand_type(schema, "object", why, path, errors);
        if !matches!(text(schema, MAP_TYPE), "atomic" | "granular") {
            let found = text(schema, MAP_TYPE);
            let error = Error::not_supported(&path.child(MAP_TYPE), found, &["atomic", "granular"]);
            errors.push(error);
        }
    }
    let keys: Vec<&str> = keys(schema);
    let list_type = schema.get(LIST_TYPE).and_then(Value::as_str);
    if let Some(found) = list_type {
        let why = "must be array if x-kubernetes-list-type is specified";
        demand_type(schema, "array", why, path, errors);
        let known = ["atomic", "map", "set"];
        if !known.contains(&found) {
            errors.push(Error::not_supported(&path.child(LIST_TYPE), found, &known));
        }
    }
    if !keys.is_empty() && list_type != Some("map") {
        let why = "must be map if x-kubernetes-list-map-keys is non-empty";
        let path = path.child(LIST_TYPE);
        errors.push(match list_type {
            None => Error::required(&path, why),
            Some(found) => Error::invalid(&path, found, why),
        });
    }
    match list_type {
        Some("map") => map(schema, &keys, path, errors),
        Some("set") => set(schema, path, errors),
        _ => {}
    }
}

fn keys(schema: &Value) -> Vec<&str> {
    let keys = schema.get(KEYS).and_then(Value::as_array);
    keys.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn map(schema: &Value, keys: &[&str], path: &Path<'_>, errors: &mut Vec<Error>) {
    if keys.is_empty() {
        let why = "must not be empty if x-kubernetes-list-type is map";
        errors.push(Error::required(&path.child(KEYS), why));
    }
    let below = path.child("items");
    let Some(items) = schema.get("items").filter(|items| items.is_object()) else {
        let why = "must have a schema if x-kubernetes-list-type is map";
        errors.push(Error::required(&below, why));
        return;
    };
    let why = "must be object if parent array's x-kubernetes-list-type is map";
    if text(items, "type") != "object" {
        errors.push(Error::invalid(
            &below.child("type"),
            text(items, "type"),
            why,
        ));
    }
    let mut seen = HashSet::new();
    for key in keys {
        key_of(items, key, schema, path, errors);
        if !seen.insert(key) {
            let why = "must not contain duplicate entries";
            errors.push(Error::invalid(&path.child(KEYS), schema[KEYS].clone(), why));
        }
    }
    no_nulls(items, "map", path, errors);
}

fn key_of(items: &Value, key: &str, schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let Some(property) = items.get("properties").and_then(|all| all.get(key)) else {
        let why = "entries must all be names of item properties";
        errors.push(Error::invalid(&path.child(KEYS), schema[KEYS].clone(), why));
        return;
    };
    let properties = path.child("items.properties");
    let place = properties.key(key);
    if matches!(text(property, "type"), "array" | "object") {
        let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
        errors.push(Error::invalid(
            &place.child("type"),
            text(property, "type"),
            why,
        ));
    }
    if flag(property, "nullable") {
        let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
        errors.push(Error::forbidden(&place.child("nullable"), why));
    }
    let required = items.get("required").and_then(Value::as_array);
    let is_required = required.is_some_and(|names| names.iter().any(|name| name == key));
    if !is_required && property.get("default").is_none() {
        let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
        errors.push(Error::required(&place.child("default"), why));
    }
}

fn no_nulls(items: &Value, list_type: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    if flag(items, "nullable") {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(Error::forbidden(&path.child("items.nullable"), why));
    }
}

/// Items are compared as wholes, so they have to be owned as wholes.
fn set(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let Some(items) = schema.get("items") else {
        return;
    };
    no_nulls(items, "set", path, errors);
    let (field, why) = match text(items, "type") {
        "object" => (
            MAP_TYPE,
            "must be atomic as item of a list with x-kubernetes-list-type=set",
        ),
        "array" => (
            LIST_TYPE,
            "must be atomic as item of a list with x-kubernetes-list-type=set",
        ),
        _ => return,
    };
    let below = path.child("items");
    let path = below.child(field);
    match items.get(field).and_then(Value::as_str) {
        Some("atomic") => {}
        None if field == LIST_TYPE => {}
        None => errors.push(Error::required(&path, why)),
        Some(found) => errors.push(Error::invalid(&path, found, why)),
    }
}
