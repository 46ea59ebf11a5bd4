//! Fills in what the schema has defaults for.

use serde_json::Value;

use crate::schema::Schema;

/// Missing fields, and nulls where none may be, become their defaults; then the same
/// below. Doing it twice changes nothing.
pub fn fill(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, property) in &schema.properties {
                let Some(default) = &property.default else {
                    continue;
                };
                let stands = |value: &Value| property.stands_for_null(value);
                if fields.get(&**name).is_none_or(stands) {
                    fields.insert(name.to_string(), default.clone());
                }
            }
            for (name, value) in fields.iter_mut() {
                if let Some(schema) = schema.field(name) {
                    fill_one(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.items() {
                items.iter_mut().for_each(|item| fill_one(schema, item));
            }
        }
        _ => {}
    }
}

fn fill_one(schema: &Schema, value: &mut Value) {
    if let Some(default) = schema
        .default
        .as_ref()
        .filter(|_| schema.stands_for_null(value))
    {
        *value = default.clone();
    }
    fill(schema, value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_filled_in_at_every_depth() {
        let schema = Schema::compile(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "default": {}, "properties": {
            "color": {"type": "string", "default": "red"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}},
            "map": {"type": "object", "additionalProperties": {"type": "string", "default": "x"}},
            "maybe": {"type": "string", "nullable": true, "default": "y"},
        }}}}));
        let mut object = json!({});
        fill(&schema, &mut object);
        assert_eq!(object, json!({"spec": {"color": "red", "maybe": "y"}}));
        let mut object = json!({"spec": {"color": null, "list": [{}, {"n": 2}], "map": {"a": null}, "maybe": null}});
        fill(&schema, &mut object);
        assert_eq!(
            object,
            json!({"spec": {"color": "red", "list": [{"n": 1}, {"n": 2}], "map": {"a": "x"}, "maybe": null}})
        );
    }
}
