//! From a structural schema to a type, with the sizes its values can have.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Object, Type};
use crate::value::names;

/// The largest request there is: no value can be larger.
const MAX_REQUEST: u64 = 3 * 1024 * 1024;

impl Type {
    /// The type of the values an OpenAPI v3 schema admits. A property is a field under
    /// the name expressions use for it: `a-b` is `a__dash__b`.
    pub fn of_schema(schema: &Value) -> Type {
        of_schema(schema, "object")
    }

    /// The same for the object a schema is the root of: `metadata` is what every object's
    /// is, as far as rules may see it.
    pub fn of_root_schema(schema: &Value) -> Type {
        match of_schema(schema, "object") {
            Type::Object(object) => {
                let mut object = Object::clone(&object);
                object.fields.insert("apiVersion".to_owned(), Type::String);
                object.fields.insert("kind".to_owned(), Type::String);
                object.fields.insert("metadata".to_owned(), metadata());
                Type::Object(Arc::new(object))
            }
            other => other,
        }
    }
}

fn metadata() -> Type {
    Type::object(
        "object.metadata",
        [
            ("name", Type::String.at_most(253)),
            ("generateName", Type::String.at_most(253)),
        ],
    )
}

fn of_schema(schema: &Value, path: &str) -> Type {
    if truth(schema, "x-kubernetes-int-or-string") {
        return Type::Dyn;
    }
    if truth(schema, "x-kubernetes-embedded-resource") && schema.get("properties").is_none() {
        return embedded(BTreeMap::new(), path);
    }
    match schema["type"].as_str().unwrap_or("") {
        "boolean" => Type::Bool,
        "integer" => Type::Int,
        "number" => Type::Double,
        "string" => string(schema),
        "array" => {
            let item = of_schema(&schema["items"], &format!("{path}.@idx"));
            let most = limit(
                schema,
                "maxItems",
                MAX_REQUEST / (smallest(&schema["items"]) + 1),
            );
            Type::list(item).at_most(most)
        }
        "object" => object(schema, path),
        _ => Type::Dyn,
    }
}

fn object(schema: &Value, path: &str) -> Type {
    let additional = &schema["additionalProperties"];
    if additional.is_object() {
        let value = of_schema(additional, &format!("{path}.@idx"));
        let most = limit(
            schema,
            "maxProperties",
            MAX_REQUEST / (smallest(additional) + 4),
        );
        return Type::map(value).at_most(most);
    }
    let mut fields = BTreeMap::new();
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            if let Some(escaped) = names::escape(name) {
                let kind = of_schema(property, &format!("{path}.{name}"));
                fields.insert(escaped.into_owned(), kind);
            }
        }
    }
    if truth(schema, "x-kubernetes-embedded-resource") {
        return embedded(fields, path);
    }
    if fields.is_empty() && truth(schema, "x-kubernetes-preserve-unknown-fields") {
        return Type::Dyn;
    }
    Type::Object(Arc::new(Object {
        name: path.to_owned(),
        fields,
    }))
}

fn embedded(mut fields: BTreeMap<String, Type>, path: &str) -> Type {
    fields.insert("apiVersion".to_owned(), Type::String);
    fields.insert("kind".to_owned(), Type::String);
    fields.insert("metadata".to_owned(), metadata());
    Type::Object(Arc::new(Object {
        name: path.to_owned(),
        fields,
    }))
}

fn string(schema: &Value) -> Type {
    match schema["format"].as_str().unwrap_or("") {
        "byte" => Type::Bytes.at_most(limit(schema, "maxLength", MAX_REQUEST)),
        "duration" => Type::Duration,
        "date" | "date-time" => Type::Timestamp,
        _ => {
            let choices = schema["enum"].as_array().map(|values| {
                let lengths = values.iter().filter_map(Value::as_str).map(str::len);
                lengths.max().unwrap_or(0) as u64
            });
            let most = choices.unwrap_or_else(|| limit(schema, "maxLength", MAX_REQUEST - 2));
            Type::String.at_most(most)
        }
    }
}

fn limit(schema: &Value, field: &str, otherwise: u64) -> u64 {
    schema[field].as_u64().unwrap_or(otherwise)
}

fn truth(schema: &Value, field: &str) -> bool {
    schema[field].as_bool().unwrap_or(false)
}

/// The fewest bytes a value takes in JSON: how many of it fit into a request.
fn smallest(schema: &Value) -> u64 {
    match schema["type"].as_str().unwrap_or("") {
        "boolean" => 4,
        "string" => match schema["format"].as_str().unwrap_or("") {
            "date" => 12,
            "date-time" => 22,
            "duration" => 3,
            _ => 2,
        },
        "array" | "object" => 2,
        _ => 1,
    }
}
