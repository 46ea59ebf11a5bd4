//! Whether a schema may be a definition's: what Kubernetes demands of a structural schema.
//!
//! The order of the checks is the order of the errors.

mod alternatives;
mod defaults;
mod forbidden;
mod lists;
mod rules;
mod shape;

use apimachinery::field::{Error, Path};
use serde_json::Value;

/// Errors are collected up to this many a schema.
const ERRORS_MAX: usize = 200;

/// What is wrong with a version's schema, which lies at `path`.
pub fn check(schema: &Value, path: &Path<'_>) -> Vec<Error> {
    let mut errors = Vec::new();
    forbidden::check(schema, path, &mut errors);
    lists::check(schema, path, &mut errors);
    rules::check(schema, path, &mut errors);
    shape::check(schema, path, &mut errors);
    alternatives::check(schema, path, &mut errors);
    if errors.is_empty() {
        defaults::check(schema, path, &mut errors);
    }
    errors.truncate(ERRORS_MAX);
    errors
}

/// A place in a schema.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Calls `visit` for each schema that says what a value is: not for alternatives.
fn each_core(
    schema: &Value,
    level: Level,
    path: &Path<'_>,
    visit: &mut impl FnMut(&Value, Level, &Path<'_>),
) {
    visit(schema, level, path);
    let properties = schema.get("properties").and_then(Value::as_object);
    let below = path.child("properties");
    for (name, property) in properties.into_iter().flatten() {
        each_core(property, Level::Field, &below.key(name), visit);
    }
    for (field, level) in [
        ("additionalProperties", Level::Field),
        ("items", Level::Item),
    ] {
        if let Some(schema) = schema.get(field).filter(|schema| schema.is_object()) {
            each_core(schema, level, &path.child(field), visit);
        }
    }
}

/// The alternatives directly below a schema, with their places.
fn each_alternative(schema: &Value, path: &Path<'_>, visit: &mut impl FnMut(&Value, &Path<'_>)) {
    for field in ["allOf", "anyOf", "oneOf"] {
        let below = path.child(field);
        let all = schema.get(field).and_then(Value::as_array);
        for (at, schema) in all.into_iter().flatten().enumerate() {
            visit(schema, &below.index(at));
        }
    }
    if let Some(not) = schema.get("not") {
        visit(not, &path.child("not"));
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or("")
}

/// A type that has to be one: missing and wrong are told apart.
fn demand_type(schema: &Value, wanted: &str, why: &str, path: &Path<'_>, errors: &mut Vec<Error>) {
    match text(schema, "type") {
        found if found == wanted => {}
        "" => errors.push(Error::required(&path.child("type"), why)),
        found => errors.push(Error::invalid(&path.child("type"), found, why)),
    }
}

#[cfg(test)]
mod tests;
