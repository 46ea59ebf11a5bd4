//! Fields that the schema does not know go.

use apimachinery::field::Path;
use schema::Problem;
use serde_json::Value;

use crate::OBJECT_FIELDS;
use crate::go;
use crate::schema::{Additional, Schema, metadata};

/// As many unknown fields of one object are told.
const TOLD_MAX: usize = 100;

/// Makes a whole object fit the schema: unknown fields go, and so do nulls that may
/// not be and have no default. Metadata is as every kind's.
///
/// Wrong types are validation's to tell, but for those in metadata: the fatal
/// problem, which is then the last.
pub fn fit(schema: &Schema, object: &mut Value) -> Vec<Problem> {
    let mut unknown = Vec::new();
    let mut problems = fit_metadata(object, &Path::ROOT);
    if problems.last().is_some_and(Problem::is_fatal) {
        return problems;
    }
    Pruner {
        unknown: &mut unknown,
    }
    .object(schema, true, object, &Path::ROOT);
    drop_nulls(schema, object);
    go::canonical_numbers(object);
    problems.extend(unknown.into_iter().map(Problem::Unknown));
    problems
}

/// Makes the metadata of a whole object fit; problems are told as of `path`.
fn fit_metadata(object: &mut Value, path: &Path<'_>) -> Vec<Problem> {
    let Some(given) = object.get_mut("metadata") else {
        return Vec::new();
    };
    if given.is_null() {
        *given = Value::Object(serde_json::Map::new());
    }
    let path = path.child("metadata");
    let problems = schema::decode(metadata(), given).into_iter();
    problems
        .map(|problem| match problem {
            Problem::Unknown(field) => Problem::Unknown(path.child(&field).to_string()),
            other => other,
        })
        .collect()
}

/// What pruning alone would take out of a value below the root, by its paths.
pub fn unknown_fields(schema: &Schema, value: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    let mut value = value.clone();
    Pruner {
        unknown: &mut unknown,
    }
    .value(Some(schema), &mut value, &Path::ROOT);
    unknown
}

struct Pruner<'a> {
    unknown: &'a mut Vec<String>,
}

impl Pruner<'_> {
    fn value(&mut self, schema: Option<&Schema>, value: &mut Value, path: &Path<'_>) {
        match (value, schema) {
            (value @ Value::Object(_), Some(schema)) => {
                self.object(schema, schema.is_embedded, value, path);
                if schema.is_embedded {
                    self.embedded(value, path);
                }
            }
            (Value::Object(fields), None) => {
                fields.iter().for_each(|(name, _)| self.tell(path, name));
                fields.clear();
            }
            (Value::Array(items), schema) => {
                let keeps = schema.is_some_and(|schema| schema.keeps_unknown);
                let below = schema.and_then(Schema::items);
                if keeps && below.is_none() {
                    return;
                }
                for (at, item) in items.iter_mut().enumerate() {
                    self.value(below, item, &path.index(at));
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, schema: &Schema, is_whole: bool, value: &mut Value, path: &Path<'_>) {
        let Value::Object(fields) = value else {
            return;
        };
        fields.retain(|name, value| {
            if is_whole && OBJECT_FIELDS.contains(&name.as_str()) {
                return true;
            }
            let below = path.child(name);
            if let Some(schema) = schema.field(name) {
                self.value(Some(schema), value, &below);
                return true;
            }
            match schema.additional {
                _ if schema.keeps_unknown => true,
                Additional::Anything => {
                    self.value(None, value, &below);
                    true
                }
                _ => {
                    self.tell(path, name);
                    false
                }
            }
        });
    }

    /// Metadata that no type fits is for validation to refuse.
    fn embedded(&mut self, object: &mut Value, path: &Path<'_>) {
        let mut fitted = object.clone();
        let problems = fit_metadata(&mut fitted, path);
        if problems.iter().any(Problem::is_fatal) {
            return;
        }
        *object = fitted;
        for problem in problems {
            if let Problem::Unknown(path) = problem
                && self.unknown.len() < TOLD_MAX
            {
                self.unknown.push(path);
            }
        }
    }

    fn tell(&mut self, path: &Path<'_>, name: &str) {
        if self.unknown.len() < TOLD_MAX {
            self.unknown.push(path.child(name).to_string());
        }
    }
}

/// Nulls where none may be and no default stands in.
fn drop_nulls(schema: &Schema, value: &mut Value) {
    let is_out =
        |schema: &Schema, value: &Value| schema.stands_for_null(value) && schema.default.is_none();
    match value {
        Value::Object(fields) => fields.retain(|name, value| match schema.field(name) {
            Some(schema) if is_out(schema, value) => false,
            Some(schema) => {
                drop_nulls(schema, value);
                true
            }
            None => true,
        }),
        Value::Array(items) => {
            if let Some(schema) = schema.items() {
                items.iter_mut().for_each(|item| drop_nulls(schema, item));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fitted(schema: &Value, mut object: Value) -> (Value, Vec<String>) {
        let problems = fit(&Schema::compile(schema), &mut object);
        (object, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn unknown_fields_go_and_are_told() {
        let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object"}},
        }}}});
        let (object, problems) = fitted(
            &schema,
            json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "bad": 1}, "extra": 1,
                "spec": {"size": 1, "other": 2, "list": [{"k": "a", "l": "b"}], "map": {"a": {"b": 1}}}}),
        );
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"},
                "spec": {"size": 1, "list": [{"k": "a"}], "map": {"a": {}}}})
        );
        assert_eq!(
            problems,
            [
                "unknown field \"metadata.bad\"",
                "unknown field \"extra\"",
                "unknown field \"spec.list[0].l\"",
                "unknown field \"spec.map.a.b\"",
                "unknown field \"spec.other\"",
            ]
        );
    }

    #[test]
    fn preserved_fields_stay_and_named_ones_below_are_still_pruned() {
        let schema = json!({"type": "object", "properties": {"any": {"type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object"}}}}});
        let (object, problems) =
            fitted(&schema, json!({"any": {"x": {"y": 1}, "known": {"z": 1}}}));
        assert_eq!(object, json!({"any": {"x": {"y": 1}, "known": {}}}));
        assert_eq!(problems, ["unknown field \"any.known.z\""]);
    }

    #[test]
    fn an_embedded_object_keeps_kind_and_metadata() {
        let schema = json!({"type": "object", "properties": {"pod": {"type": "object",
            "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}}}});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {}});
        let mut sent = pod.clone();
        sent["metadata"]["bad"] = 1.into();
        let (object, problems) = fitted(&schema, json!({"pod": sent}));
        assert_eq!(object["pod"], pod);
        assert_eq!(problems, ["unknown field \"pod.metadata.bad\""]);
    }

    #[test]
    fn nulls_go_unless_nullable_or_defaulted() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "string"}, "b": {"type": "string", "nullable": true},
            "c": {"type": "string", "default": "x"}}});
        let (object, _) = fitted(&schema, json!({"a": null, "b": null, "c": null}));
        assert_eq!(object, json!({"b": null, "c": null}));
    }

    #[test]
    fn metadata_of_a_wrong_type_is_fatal() {
        let mut object = json!({"metadata": {"labels": {"a": 1}}});
        let problems = fit(&Schema::default(), &mut object);
        let why = problems.last().map(ToString::to_string);
        assert_eq!(
            why.as_deref(),
            Some(
                "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
            )
        );
    }
}
