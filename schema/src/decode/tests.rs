use serde_json::json;

use super::*;

fn pod(mut value: Value) -> (Value, Vec<String>) {
    let node = crate::of("", "v1", "Pod").expect("built in");
    let problems = decode(node, &mut value);
    (value, problems.iter().map(Problem::to_string).collect())
}

fn problems(value: Value) -> Vec<String> {
    pod(value).1
}

#[test]
fn type_errors_name_the_struct_and_the_field() {
    let cases = [
        (
            json!({"spec": {"hostNetwork": "yes"}}),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        (
            json!({"spec": {"containers": "x"}}),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            json!({"spec": {"containers": [{"name": 3}]}}),
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            json!({"spec": {"priority": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.priority of type int32",
        ),
        (
            json!({"metadata": {"labels": {"a": 1}}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "much"}}}]}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            json!({"metadata": {"creationTimestamp": "noon"}}),
            "parsing time \"noon\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"noon\" as \"2006\"",
        ),
        (
            json!([]),
            "json: cannot unmarshal array into Go value of type v1.Pod",
        ),
    ];
    for (value, message) in cases {
        assert_eq!(problems(value), [message]);
    }
}

#[test]
fn unknown_fields_are_dropped_and_told_with_their_paths() {
    let (value, told) = pod(json!({
        "bogus": 1,
        "spec": {"containers": [{"name": "c", "imagine": "x"}], "Volumes": []},
    }));
    assert_eq!(value, json!({"spec": {"containers": [{"name": "c"}]}}));
    let mut told = told;
    told.sort();
    assert_eq!(
        told,
        [
            r#"unknown field "bogus""#,
            r#"unknown field "spec.Volumes""#,
            r#"unknown field "spec.containers[0].imagine""#,
        ]
    );
}

#[test]
fn nulls_and_empty_optional_collections_go_and_empty_objects_stay() {
    let (value, told) = pod(json!({
        "metadata": {"labels": {}, "annotations": null, "creationTimestamp": null},
        "spec": {"tolerations": [], "securityContext": {}, "containers": [],
                 "volumes": [{"name": "v", "emptyDir": {}}]},
    }));
    assert!(told.is_empty());
    assert_eq!(
        value,
        json!({
            "metadata": {},
            "spec": {"securityContext": {}, "containers": [],
                     "volumes": [{"name": "v", "emptyDir": {}}]},
        })
    );
}

#[test]
fn a_null_entry_is_its_types_zero_value() {
    let (value, _) = pod(json!({"metadata": {"labels": {"a": null}}}));
    assert_eq!(value, json!({"metadata": {"labels": {"a": ""}}}));
}

#[test]
fn quantities_and_times_become_canonical() {
    let (value, told) = pod(json!({
        "metadata": {"creationTimestamp": "2026-01-01T01:00:00.5+01:00"},
        "spec": {"containers": [{"resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}]},
    }));
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(
        value["metadata"]["creationTimestamp"],
        "2026-01-01T00:00:00Z"
    );
    let limits = &value["spec"]["containers"][0]["resources"]["limits"];
    assert_eq!(*limits, json!({"cpu": "500m", "memory": "1Gi"}));
}

#[test]
fn secret_data_must_be_base64() {
    let node = crate::of("", "v1", "Secret").expect("built in");
    let decoded = |text: &str| {
        let mut value = json!({"data": {"k": text}});
        decode(node, &mut value).first().map(Problem::to_string)
    };
    assert_eq!(decoded("AAE="), None);
    assert_eq!(decoded("AAEC"), None);
    assert_eq!(decoded(""), None);
    assert_eq!(
        decoded("!AE=").as_deref(),
        Some("illegal base64 data at input byte 0")
    );
    assert_eq!(
        decoded("AAE").as_deref(),
        Some("illegal base64 data at input byte 0")
    );
}

#[test]
fn problems_of_one_document_are_bounded() {
    let bogus: Map<String, Value> = (0..1000).map(|i| (format!("x{i}"), json!(1))).collect();
    assert_eq!(problems(Value::Object(bogus)).len(), MAX_PROBLEMS);
}

#[test]
fn a_custom_resource_definition_takes_any_json_where_it_may() {
    let node =
        crate::of("apiextensions.k8s.io", "v1", "CustomResourceDefinition").expect("built in");
    let properties = json!({
        "size": {"type": "integer", "default": 1, "enum": [1, "two", null]},
        "any": {"type": "object", "additionalProperties": true, "default": {"a": []}},
        "list": {"type": "array", "items": {"type": "string"}, "example": [1]},
    });
    let mut value = json!({"spec": {"versions": [
        {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}]}});
    let before = value.clone();
    assert_eq!(decode(node, &mut value), []);
    assert_eq!(value, before);
}
