//! Objects inside objects (`x-kubernetes-embedded-resource`) are whole objects.

use apimachinery::field::{Error, Path};
use apimachinery::gvk::GroupVersion;
use apimachinery::{meta, names};
use serde_json::{Map, Value};

use crate::schema::{Schema, metadata as node};

/// What is wrong with the kind and metadata of every object inside the value, which is
/// none of them itself.
pub fn check(schema: &Schema, value: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    walk(schema, value, &Path::ROOT, &mut errors);
    errors
}

/// Whether values of the schema have objects inside.
pub fn has_any(schema: &Schema) -> bool {
    schema.is_embedded
        || schema.properties.values().any(has_any)
        || schema.additional().is_some_and(has_any)
        || schema.items().is_some_and(has_any)
}

fn walk(schema: &Schema, value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    match value {
        Value::Object(fields) => {
            if schema.is_embedded {
                object(fields, value, path, errors);
            }
            for (name, value) in fields {
                if let Some(property) = schema.properties.get(name.as_str()) {
                    walk(property, value, &path.child(name), errors);
                } else if let Some(schema) = schema.additional() {
                    walk(schema, value, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if let Some(schema) = schema.items() {
                    walk(schema, item, &path.index(at), errors);
                }
            }
        }
        _ => {}
    }
}

fn object(fields: &Map<String, Value>, whole: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    for required in ["apiVersion", "kind"] {
        let path = path.child(required);
        match fields.get(required) {
            None => errors.push(Error::required(&path, "must not be empty")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(Error::invalid(&path, "", "must not be empty"));
            }
            Some(Value::String(text)) => errors.extend(type_name(required, text, &path)),
            Some(other) => errors.push(Error::invalid(&path, other.clone(), "must be a string")),
        }
    }
    let name = meta::name(whole);
    if let Some(metadata) = fields.get("metadata") {
        let path = path.child("metadata");
        let problems = schema::decode(node(), &mut metadata.clone());
        if let Some(why) = problems.iter().find(|problem| problem.is_fatal()) {
            errors.push(Error::invalid(&path, metadata.clone(), why.to_string()));
        }
        for problem in names::path_segment(name) {
            errors.push(Error::invalid(&path.child("name"), name, problem));
        }
    }
}

fn type_name(field: &str, text: &str, path: &Path<'_>) -> Option<Error> {
    if field == "apiVersion" {
        let why = format!("unexpected GroupVersion string: {text}");
        return GroupVersion::parse(text)
            .is_none()
            .then(|| Error::invalid(path, text, why));
    }
    let problems = names::dns_1035_label(&text.to_lowercase());
    let why = format!(
        "may have mixed case, but should otherwise match: {}",
        problems.join(",")
    );
    (!problems.is_empty()).then(|| Error::invalid(path, text, why))
}
