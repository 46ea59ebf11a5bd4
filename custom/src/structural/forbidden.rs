//! What OpenAPI could say and no definition may, alternatives included.

use apimachinery::field::{Error, Path};
use serde_json::Value;

use super::{each_alternative, flag, text};
use crate::OBJECT_FIELDS;

pub(super) fn check(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    walk(
        schema,
        &Place {
            is_root: true,
            ..Place::default()
        },
        path,
        errors,
    );
}

/// What surrounds a schema.
#[derive(Clone, Default)]
struct Place {
    is_root: bool,
    in_metadata: bool,
    /// Why there may be no defaults here.
    no_defaults: Option<String>,
}

fn walk(schema: &Value, place: &Place, path: &Path<'_>, errors: &mut Vec<Error>) {
    here(schema, place, path, errors);
    let below = Place {
        is_root: false,
        ..place.clone()
    };
    let properties = path.child("properties");
    for (name, property) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let mut inner = below.clone();
        let is_whole = place.is_root || flag(schema, "x-kubernetes-embedded-resource");
        if is_whole && OBJECT_FIELDS.contains(&name.as_str()) {
            inner.in_metadata = true;
            if place.is_root {
                inner.no_defaults = Some(format!(" in top-level {name}"));
            }
        }
        walk(property, &inner, &properties.key(name), errors);
    }
    for field in ["additionalProperties", "items"] {
        if let Some(schema) = schema.get(field).filter(|schema| schema.is_object()) {
            walk(schema, &below, &path.child(field), errors);
        }
    }
    let alternative = Place {
        no_defaults: Some(String::new()),
        ..below
    };
    each_alternative(schema, path, &mut |schema, path| {
        walk(schema, &alternative, path, errors)
    });
}

fn here(schema: &Value, place: &Place, path: &Path<'_>, errors: &mut Vec<Error>) {
    let has = |name: &str| {
        schema.get(name).is_some_and(|value| match value {
            Value::Null => false,
            Value::Object(fields) => !fields.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        })
    };
    if let Some(reason) = &place.no_defaults
        && schema.get("default").is_some()
        && !reason.is_empty()
    {
        errors.push(Error::forbidden(
            &path.child("default"),
            format!("must not be set{reason}"),
        ));
    }
    for name in [
        "id",
        "additionalItems",
        "patternProperties",
        "definitions",
        "dependencies",
        "$ref",
    ] {
        if has(name) {
            errors.push(Error::forbidden(
                &path.child(name),
                format!("{name} is not supported"),
            ));
        }
    }
    if text(schema, "type") == "null" {
        let why = "type cannot be set to null, use nullable as an alternative";
        errors.push(Error::forbidden(&path.child("type"), why));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let why = "items must be a schema object and not an array";
        errors.push(Error::forbidden(&path.child("items"), why));
    }
    if place.in_metadata && flag(schema, "x-kubernetes-embedded-resource") {
        let why = "must not be used inside of resource meta";
        errors.push(Error::forbidden(
            &path.child("x-kubernetes-embedded-resource"),
            why,
        ));
    }
    if flag(schema, "uniqueItems") {
        let why =
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(Error::forbidden(&path.child("uniqueItems"), why));
    }
    contradictions(schema, path, errors);
}

/// What cannot be meant together.
fn contradictions(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let additional = schema.get("additionalProperties");
    if schema["properties"]
        .as_object()
        .is_some_and(|all| !all.is_empty())
        && additional.is_some_and(|v| v.is_object() || v == &Value::Bool(false))
    {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(Error::forbidden(&path.child("additionalProperties"), why));
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let path = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(Error::invalid(&path, false, "must be true or undefined"));
    }
}
