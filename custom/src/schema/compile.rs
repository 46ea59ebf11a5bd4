//! From `openAPIV3Schema` to a [`Schema`].
//!
//! What the definition's validation let in compiles; a stored definition that an older
//! server let in does so too, as far as it can be understood.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Additional, Bound, Checks, Format, Kind, ListType, Pattern, Schema, pattern};
use crate::formats;
use crate::rules::Rules;

impl Schema {
    pub fn compile(json: &Value) -> Self {
        Self::compile_with(json, Rules::compile(json, false))
    }

    /// The schema of a whole object, whose rules see its kind and name.
    pub fn compile_root(json: &Value) -> Self {
        Self::compile_with(json, Rules::compile(json, true))
    }

    fn compile_with(json: &Value, rules: Option<Arc<Rules>>) -> Self {
        let Some(fields) = json.as_object() else {
            return Self::default();
        };
        let flag = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or(false);
        Self {
            kind: text(fields, "type").and_then(Kind::parse),
            is_int_or_string: flag("x-kubernetes-int-or-string"),
            is_nullable: flag("nullable"),
            default: fields.get("default").filter(|v| !v.is_null()).cloned(),
            properties: properties(fields),
            additional: additional(fields.get("additionalProperties")),
            items: fields
                .get("items")
                .map(|items| Box::new(Self::compile(items))),
            keeps_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            is_embedded: flag("x-kubernetes-embedded-resource"),
            list: list_type(fields),
            is_atomic: text(fields, "x-kubernetes-map-type") == Some("atomic"),
            checks: checks(fields),
            rules,
        }
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

fn texts(fields: &Map<String, Value>, name: &str) -> Vec<Box<str>> {
    let items = fields.get(name).and_then(Value::as_array);
    let items = items.into_iter().flatten().filter_map(Value::as_str);
    items.map(Into::into).collect()
}

fn properties(fields: &Map<String, Value>) -> std::collections::BTreeMap<Box<str>, Schema> {
    let properties = fields.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    properties
        .map(|(name, schema)| (name.as_str().into(), Schema::compile(schema)))
        .collect()
}

fn additional(json: Option<&Value>) -> Additional {
    match json {
        Some(Value::Bool(true)) => Additional::Anything,
        Some(Value::Bool(false)) => Additional::Nothing,
        Some(schema @ Value::Object(_)) => Additional::Of(Box::new(Schema::compile(schema))),
        _ => Additional::Unsaid,
    }
}

fn list_type(fields: &Map<String, Value>) -> ListType {
    match text(fields, "x-kubernetes-list-type") {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(texts(fields, "x-kubernetes-list-map-keys")),
        _ => ListType::Atomic,
    }
}

fn checks(fields: &Map<String, Value>) -> Checks {
    let count = |name: &str| fields.get(name).and_then(Value::as_u64);
    let schemas = |name: &str| {
        let all = fields.get(name).and_then(Value::as_array);
        all.into_iter().flatten().map(Schema::compile).collect()
    };
    Checks {
        format: text(fields, "format").and_then(|name| {
            let check = formats::find(name)?;
            Some(Format {
                name: name.into(),
                check,
            })
        }),
        choices: fields.get("enum").and_then(Value::as_array).cloned(),
        pattern: text(fields, "pattern")
            .filter(|text| !text.is_empty())
            .map(|text| Pattern {
                text: text.into(),
                regex: pattern::compile(text),
            }),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        minimum: bound(fields, "minimum", "exclusiveMinimum"),
        maximum: bound(fields, "maximum", "exclusiveMaximum"),
        multiple_of: fields.get("multipleOf").and_then(Value::as_number).cloned(),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        required: texts(fields, "required"),
        all_of: schemas("allOf"),
        any_of: schemas("anyOf"),
        one_of: schemas("oneOf"),
        not: fields.get("not").map(|not| Box::new(Schema::compile(not))),
    }
}

fn bound(fields: &Map<String, Value>, limit: &str, exclusive: &str) -> Option<Bound> {
    Some(Bound {
        limit: fields.get(limit)?.as_number()?.clone(),
        is_exclusive: fields
            .get(exclusive)
            .and_then(Value::as_bool)
            .unwrap_or(false),
    })
}
