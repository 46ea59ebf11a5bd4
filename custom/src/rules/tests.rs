use serde_json::{Value, json};

use super::*;

fn version(schema: Value) -> Version {
    Version::compile(
        &json!({"name": "v1", "schema": {"openAPIV3Schema": schema}}),
        None,
    )
}

fn scaled(rules: Value) -> Version {
    version(
        json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-validations": rules,
        "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}, "name": {"type": "string"}}}}}),
    )
}

fn texts(errors: Vec<Error>) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_broken_rule_is_told_with_its_message() {
    let version = scaled(json!([
        {"rule": "self.min <= self.max", "message": "min above max"},
        {"rule": "self.min > 0"},
        {"rule": "self.max < 10", "messageExpression": "'max is ' + string(self.max)", "fieldPath": ".max", "reason": "FieldValueForbidden"}]));
    let errors = texts(version.check(&json!({"spec": {"min": 30, "max": 20}})));
    assert_eq!(
        errors,
        [
            "spec: Invalid value: \"object\": min above max",
            "spec.max: Forbidden: max is 20"
        ]
    );
    let errors = texts(version.check(&json!({"spec": {"min": 0, "max": 1}})));
    assert_eq!(
        errors,
        ["spec: Invalid value: \"object\": failed rule: self.min > 0"]
    );
}

#[test]
fn rules_wait_until_the_object_is_right() {
    let version = scaled(json!([{"rule": "self.min > 0"}]));
    let errors = texts(version.check(&json!({"spec": {"min": "x"}})));
    assert!(
        errors[1].starts_with("<nil>: Invalid value: null: some validation rules were not checked"),
        "{errors:?}"
    );
}

#[test]
fn transition_rules_run_only_on_changes() {
    let version =
        scaled(json!([{"rule": "self.name == oldSelf.name", "message": "name is immutable"}]));
    let old = json!({"spec": {"name": "a"}});
    assert_eq!(version.check(&old), []);
    let errors = texts(version.check_change(&json!({"spec": {"name": "b"}}), &old));
    assert_eq!(
        errors,
        ["spec: Invalid value: \"object\": name is immutable"]
    );
}

#[test]
fn an_optional_old_value_is_there_on_create_too() {
    let version = scaled(
        json!([{"rule": "oldSelf.hasValue() || self.min == 1", "optionalOldSelf": true, "message": "starts with 1"}]),
    );
    assert_eq!(
        texts(version.check(&json!({"spec": {"min": 2}}))),
        ["spec: Invalid value: \"object\": starts with 1"]
    );
    assert_eq!(
        version.check_change(&json!({"spec": {"min": 2}}), &json!({"spec": {"min": 1}})),
        []
    );
}

#[test]
fn what_broke_a_rule_before_is_forgiven_while_it_stays() {
    let version = scaled(json!([{"rule": "self.min > 0"}]));
    let old = json!({"spec": {"min": 0}, "metadata": {"labels": {}}});
    let new = json!({"spec": {"min": 0}, "metadata": {"labels": {"a": "b"}}});
    assert_eq!(version.check_change(&new, &old), []);
}
