use serde_json::{Value, json};

use super::*;

#[track_caller]
fn errors(schema: Value, value: Value) -> Vec<String> {
    let found = super::value(&Schema::compile(&schema), &value);
    found.iter().map(ToString::to_string).collect()
}

fn of_a(property: Value) -> Value {
    json!({"type": "object", "properties": {"a": property}})
}

#[test]
fn types_are_told_with_what_was_found() {
    let found = errors(of_a(json!({"type": "integer"})), json!({"a": "x"}));
    assert_eq!(
        found,
        ["a: Invalid value: \"string\": a in body must be of type integer: \"string\""]
    );
    let found = errors(
        of_a(json!({"x-kubernetes-int-or-string": true})),
        json!({"a": true}),
    );
    assert_eq!(
        found,
        ["a: Invalid value: \"boolean\": a in body must be of type integer,string: \"boolean\""]
    );
    assert_eq!(
        errors(of_a(json!({"type": "integer"})), json!({"a": 1.0})),
        [""; 0]
    );
    assert_eq!(
        errors(
            of_a(json!({"type": "string", "nullable": true})),
            json!({"a": null})
        ),
        [""; 0]
    );
}

#[test]
fn numbers_have_bounds() {
    let schema = of_a(
        json!({"type": "integer", "minimum": 1, "maximum": 10.0, "exclusiveMaximum": true, "multipleOf": 2}),
    );
    assert_eq!(
        errors(schema.clone(), json!({"a": 11})),
        [
            "a: Invalid value: 11: a in body should be a multiple of 2",
            "a: Invalid value: 11: a in body should be less than 10"
        ]
    );
    assert_eq!(
        errors(schema, json!({"a": 0})),
        ["a: Invalid value: 0: a in body should be greater than or equal to 1"]
    );
}

#[test]
fn strings_have_lengths_patterns_formats_and_choices() {
    let schema =
        of_a(json!({"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"}));
    assert_eq!(
        errors(schema.clone(), json!({"a": "abcde"})),
        ["a: Too long: may not be more than 4 bytes"]
    );
    assert_eq!(
        errors(schema.clone(), json!({"a": "x"})),
        ["a: Invalid value: \"x\": a in body should be at least 2 chars long"]
    );
    assert_eq!(
        errors(schema, json!({"a": "AB"})),
        ["a: Invalid value: \"AB\": a in body should match '^[a-z]+$'"]
    );
    assert_eq!(
        errors(
            of_a(json!({"type": "string", "format": "date-time"})),
            json!({"a": "x"})
        ),
        ["a: Invalid value: \"x\": a in body must be of type date-time: \"x\""]
    );
    assert_eq!(
        errors(
            of_a(json!({"type": "string", "enum": ["red", "green"]})),
            json!({"a": "blue"})
        ),
        ["a: Unsupported value: \"blue\": supported values: \"red\", \"green\""]
    );
}

#[test]
fn lists_and_objects_have_sizes_and_required_fields() {
    let schema = json!({"type": "object", "required": ["b"], "properties": {"a": {"type": "array", "maxItems": 1,
        "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}}}});
    assert_eq!(
        errors(schema, json!({"a": [{}, {"k": "x"}]})),
        [
            "b: Required value",
            "a[0].k: Required value",
            "a: Too many: 2: must have at most 1 item"
        ]
    );
    let map = of_a(
        json!({"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 2}),
    );
    assert_eq!(
        errors(map, json!({"a": {"x": "y"}})),
        ["a: Invalid value: 1: a in body should have at least 2 properties"]
    );
}

#[test]
fn alternatives_tell_the_best_failure() {
    let schema = of_a(
        json!({"type": "object", "oneOf": [{"required": ["x"]}, {"required": ["y"]}],
        "properties": {"x": {"type": "string"}, "y": {"type": "string"}}}),
    );
    assert_eq!(
        errors(schema.clone(), json!({"a": {}})),
        [
            "<nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found none valid",
            "a.x: Required value"
        ]
    );
    assert_eq!(
        errors(schema, json!({"a": {"x": "1", "y": "2"}})),
        [
            "<nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found 2 valid alternatives"
        ]
    );
    let not = of_a(json!({"type": "string", "not": {"enum": ["x"]}}));
    assert_eq!(
        errors(not, json!({"a": "x"})),
        ["<nil>: Invalid value: \"\": \"a\" must not validate the schema (not)"]
    );
}

#[test]
fn what_was_wrong_before_is_forgiven_where_it_did_not_change() {
    let schema = Schema::compile(&json!({"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1},
        "l": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string", "maxLength": 1}}}},
        "s": {"type": "array", "items": {"type": "string", "maxLength": 1}}}}));
    let old = json!({"a": "long", "l": [{"k": "x", "v": "long"}], "s": ["long"]});
    assert_eq!(change(&schema, &old, &old), []);
    let new = json!({"a": "long", "l": [{"k": "y", "v": "z"}, {"k": "x", "v": "long"}], "s": ["long", "b"]});
    let found: Vec<String> = change(&schema, &new, &old)
        .iter()
        .map(|e| e.field.clone())
        .collect();
    assert_eq!(
        found,
        ["s[0]"],
        "items of a list that is no map cannot be told apart"
    );
}
