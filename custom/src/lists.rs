//! Lists that are sets or maps: each item once.

use std::collections::HashSet;

use apimachinery::field::{Error, Path};
use serde_json::Value;

use crate::correlate;
use crate::schema::{ListType, Schema};

/// Every item that is in its list a second time.
pub fn duplicates(schema: &Schema, value: &Value) -> Vec<Error> {
    let mut errors = Vec::new();
    walk(schema, value, &Path::ROOT, &mut errors);
    errors
}

fn walk(schema: &Schema, value: &Value, path: &Path<'_>, errors: &mut Vec<Error>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(property) = schema.properties.get(name.as_str()) {
                    walk(property, value, &path.child(name), errors);
                } else if let Some(schema) = schema.additional() {
                    walk(schema, value, &path.key(name), errors);
                }
            }
        }
        Value::Array(items) => {
            match &schema.list {
                ListType::Atomic => {}
                ListType::Set => set(items, path, errors),
                ListType::Map(_) => map(schema, items, path, errors),
            }
            if let Some(schema) = schema.items() {
                for (at, item) in items.iter().enumerate() {
                    walk(schema, item, &path.index(at), errors);
                }
            }
        }
        _ => {}
    }
}

fn set(items: &[Value], path: &Path<'_>, errors: &mut Vec<Error>) {
    let mut seen = HashSet::new();
    for (at, item) in items.iter().enumerate() {
        if !seen.insert(item.to_string()) {
            errors.push(Error::duplicate(&path.index(at), item.clone()));
        }
    }
}

fn map(schema: &Schema, items: &[Value], path: &Path<'_>, errors: &mut Vec<Error>) {
    let before = errors.len();
    for (at, item) in items.iter().enumerate() {
        if !item.is_object() && !item.is_null() {
            let why = "must be an object for an array of list-type map";
            errors.push(Error::invalid(&path.index(at), item.clone(), why));
        }
    }
    if errors.len() > before {
        return;
    }
    let keys = correlate::keys(schema);
    let mut seen = HashSet::new();
    for (at, item) in items.iter().enumerate() {
        let values = correlate::key_values(&keys, item);
        if !seen.insert(values.to_string()) {
            errors.push(Error::duplicate(&path.index(at), values));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(schema: Value, value: Value) -> Vec<String> {
        let errors = duplicates(&Schema::compile(&schema), &value);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_map_has_each_key_once_and_a_default_counts() {
        let list = json!({"type": "object", "properties": {"l": {"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"], "items": {"type": "object", "properties": {
                "port": {"type": "integer"}, "protocol": {"type": "string", "default": "TCP"}}}}}});
        let items = json!({"l": [{"port": 1}, {"port": 1, "protocol": "UDP"}, {"port": 1, "protocol": "TCP"}]});
        assert_eq!(
            errors(list, items),
            ["l[2]: Duplicate value: {\"port\":1,\"protocol\":\"TCP\"}"]
        );
    }

    #[test]
    fn a_set_has_each_value_once() {
        let set = json!({"type": "object", "additionalProperties": {"type": "array",
            "x-kubernetes-list-type": "set", "items": {"type": "string"}}});
        assert_eq!(
            errors(set, json!({"a": ["x", "y", "x"]})),
            ["[a][2]: Duplicate value: \"x\""]
        );
    }
}
