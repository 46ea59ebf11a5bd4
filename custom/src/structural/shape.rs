//! Every value has one type, said once.

use apimachinery::field::{Error, Path};
use serde_json::{Value, json};

use super::{Level, demand_type, each_core, flag, text};
use crate::schema::Kind;

const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const KEEPS: &str = "x-kubernetes-preserve-unknown-fields";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

pub(super) fn check(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    each_core(schema, Level::Root, path, &mut |schema, level, path| {
        typed(schema, level, path, errors);
        extensions(schema, path, errors);
        if level == Level::Root || flag(schema, EMBEDDED) {
            whole_object(schema, level, path, errors);
        }
    });
}

fn typed(schema: &Value, level: Level, path: &Path<'_>, errors: &mut Vec<Error>) {
    let kind = text(schema, "type");
    if kind.is_empty() && !flag(schema, INT_OR_STRING) && !flag(schema, KEEPS) {
        let place = match level {
            Level::Root => "at the root",
            Level::Item => "for specified array items",
            Level::Field => "for specified object fields",
        };
        let why = format!("must not be empty {place}");
        errors.push(Error::required(&path.child("type"), why));
    }
    if !kind.is_empty() && kind != "null" && Kind::parse(kind).is_none() {
        errors.push(Error::not_supported(&path.child("type"), kind, &TYPES));
    }
    if kind == "array" && schema.get("items").is_none() {
        errors.push(Error::required(&path.child("items"), "must be specified"));
    }
}

fn extensions(schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    let kind = text(schema, "type");
    if flag(schema, INT_OR_STRING) {
        if !kind.is_empty() {
            let why = "must be empty if x-kubernetes-int-or-string is true";
            errors.push(Error::invalid(&path.child("type"), kind, why));
        }
        if flag(schema, KEEPS) {
            let why = "must be false if x-kubernetes-int-or-string is true";
            errors.push(Error::invalid(&path.child(KEEPS), true, why));
        }
    }
    if flag(schema, KEEPS) && !matches!(kind, "" | "object") {
        let why = "must be object if x-kubernetes-preserve-unknown-fields is true";
        errors.push(Error::invalid(&path.child("type"), kind, why));
    }
}

/// The root, and objects inside objects.
fn whole_object(schema: &Value, level: Level, path: &Path<'_>, errors: &mut Vec<Error>) {
    if !text(schema, "type").is_empty() || level != Level::Root {
        let place = if level == Level::Root {
            " at the root"
        } else {
            ""
        };
        let place = match place {
            "" => "must be object if x-kubernetes-embedded-resource is true".to_owned(),
            place => format!("must be object{place}"),
        };
        demand_type(schema, "object", &place, path, errors);
    }
    if schema
        .get("additionalProperties")
        .is_some_and(|v| !v.is_null())
    {
        let why = match level {
            Level::Root => "must not be used at the root",
            _ => "must not be used if x-kubernetes-embedded-resource is set",
        };
        errors.push(Error::forbidden(&path.child("additionalProperties"), why));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let is_bare = properties.is_none_or(serde_json::Map::is_empty);
    if flag(schema, EMBEDDED) && is_bare && !flag(schema, KEEPS) {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(Error::required(&path.child("properties"), why));
    }
    if level == Level::Root && flag(schema, "nullable") {
        let why = "nullable cannot be true at the root";
        errors.push(Error::forbidden(&path.child("nullable"), why));
    }
    let below = path.child("properties");
    for (name, property) in properties.into_iter().flatten() {
        object_field(name, property, &below.key(name), errors);
    }
}

/// Kind and metadata are what they are; a schema may only narrow their names.
fn object_field(name: &str, schema: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    match name {
        "apiVersion" | "kind" => {
            let why = format!("must be string for {name}");
            demand_type(schema, "string", &why, path, errors);
        }
        "metadata" => {
            demand_type(schema, "object", "must be object", path, errors);
            if !restricts_only_names(schema) {
                let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
                errors.push(Error::forbidden(path, why));
            }
        }
        _ => {}
    }
}

fn restricts_only_names(schema: &Value) -> bool {
    let harmless = ["type", "properties", "description", "title"];
    let fields = schema.as_object().into_iter().flatten();
    let mut others = fields.filter(|(name, value)| {
        !harmless.contains(&name.as_str()) && **value != json!(false) && !value.is_null()
    });
    let properties = schema.get("properties").and_then(Value::as_object);
    others.next().is_none()
        && properties
            .into_iter()
            .flatten()
            .all(|(name, _)| matches!(name.as_str(), "name" | "generateName"))
}
