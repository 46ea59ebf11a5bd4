use serde_json::{Value, json};

use super::*;

#[track_caller]
fn errors(schema: Value) -> Vec<String> {
    let found = check(&schema, &Path::new("s"));
    found.iter().map(ToString::to_string).collect()
}

fn of_a(property: Value) -> Value {
    json!({"type": "object", "properties": {"a": property}})
}

#[test]
fn a_good_schema_is_good() {
    let schema = json!({"type": "object", "required": ["spec"], "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}},
        "spec": {"type": "object", "properties": {
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "default": "http"},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "pod": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
            "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}}}},
            "mode": {"type": "string", "enum": ["a", "b"], "default": "a"}},
            "oneOf": [{"required": ["port"]}, {"required": ["any"], "properties": {"mode": {"enum": ["a"]}}}]}}});
    assert_eq!(errors(schema), [""; 0]);
}

#[test]
fn every_value_has_a_type() {
    assert_eq!(
        errors(json!({})),
        ["s.type: Required value: must not be empty at the root"]
    );
    assert_eq!(
        errors(of_a(json!({}))),
        ["s.properties[a].type: Required value: must not be empty for specified object fields"]
    );
    assert_eq!(
        errors(of_a(json!({"type": "array"}))),
        ["s.properties[a].items: Required value: must be specified"]
    );
    assert_eq!(
        errors(of_a(json!({"type": "array", "items": {}}))),
        ["s.properties[a].items.type: Required value: must not be empty for specified array items"]
    );
}

#[test]
fn what_no_server_follows_is_forbidden() {
    assert_eq!(
        errors(of_a(json!({"type": "object", "$ref": "#/x"}))),
        ["s.properties[a].$ref: Forbidden: $ref is not supported"]
    );
    assert_eq!(
        errors(of_a(
            json!({"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": {"type": "string"}})
        )),
        [
            "s.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"
        ]
    );
    assert_eq!(
        errors(
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}})
        ),
        [
            "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"
        ]
    );
}

#[test]
fn alternatives_only_narrow() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}},
        "anyOf": [{"type": "object", "properties": {"b": {"enum": ["x"]}}}]});
    assert_eq!(
        errors(schema),
        [
            "s.anyOf[0].type: Forbidden: must be empty to be structural",
            "s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"
        ]
    );
}

#[test]
fn list_maps_have_keys_that_every_item_has() {
    let list = |keys: Value, item: Value| {
        of_a(
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys, "items": item}),
        )
    };
    let item = json!({"type": "object", "properties": {"k": {"type": "string"}}});
    assert_eq!(
        errors(list(json!(["k"]), item.clone())),
        [
            "s.properties[a].items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
        ]
    );
    assert_eq!(
        errors(list(json!(["z"]), item)),
        [
            "s.properties[a].x-kubernetes-list-map-keys: Invalid value: [\"z\"]: entries must all be names of item properties"
        ]
    );
}

#[test]
fn defaults_fit_their_schema() {
    assert_eq!(
        errors(of_a(
            json!({"type": "object", "default": {"b": 1}, "properties": {"b": {"type": "string"}}})
        )),
        [
            "s.properties[a].default.b: Invalid value: \"integer\": b in body must be of type string: \"integer\""
        ]
    );
    assert_eq!(
        errors(of_a(
            json!({"type": "object", "default": {"c": 1}, "properties": {"b": {"type": "string"}}})
        )),
        ["s.properties[a].default: Invalid value: {\"c\":1}: must not have unknown fields"]
    );
}

#[test]
fn rules_compile_and_have_messages() {
    let rule = |rule: Value| of_a(json!({"type": "integer", "x-kubernetes-validations": [rule]}));
    assert_eq!(errors(rule(json!({"rule": "self > 0"}))), [""; 0]);
    assert_eq!(
        errors(rule(json!({"rule": ""}))),
        ["s.properties[a].x-kubernetes-validations[0].rule: Required value: rule is not specified"]
    );
    let found = errors(rule(json!({"rule": "self.x > 0"})));
    assert!(
        found[0].contains("rule: Invalid value: \"self.x > 0\": compilation failed"),
        "{found:?}"
    );
    assert_eq!(
        errors(rule(json!({"rule": "self > 0", "reason": "Because"}))).len(),
        1
    );
}

#[test]
fn a_rule_that_could_cost_too_much_is_refused() {
    let found = errors(of_a(
        json!({"type": "array", "items": {"type": "array", "items": {"type": "string",
        "x-kubernetes-validations": [{"rule": "self.matches('a+b')"}]}}}),
    ));
    assert!(
        found[0].contains("estimated rule cost exceeds budget by factor of"),
        "{found:?}"
    );
}
