use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::*;

/// A pod, of which it wants little, as watchers do.
#[derive(Debug, PartialEq, Deserialize)]
struct Small {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    tail: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Metadata {
    name: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "p", "namespace": "d", "resourceVersion": "7",
            "labels": { "a": "\"}]\\", "b": "ü\n" },
            "managedFields": [{
                "fieldsType": "FieldsV1", "manager": "m", "operation": "Update",
                "fieldsV1": { "f:spec": { "f:containers": { "k:{\"name\":\"c\"}": { ".": {}, "f:image": {} } } } },
            }],
        },
        "spec": {
            "containers": [{ "name": "c", "image": "i", "args": ["[", "\\", "\\\""],
                "ports": [{ "containerPort": 80 }], "resources": { "limits": { "cpu": "1" } } }],
            "priority": -5, "hostNetwork": true, "nodeName": null,
        },
        "status": { "startTime": "2026-01-02T03:04:05Z", "phase": "Pending" },
    })
}

fn both<T: serde::de::DeserializeOwned>(text: &[u8]) -> (Option<T>, Option<T>) {
    (read(text).ok(), serde_json::from_slice(text).ok())
}

#[test]
fn a_served_object_is_read_as_serde_json_reads_it() {
    for text in [pod().to_string(), format!("{:#}", pod())] {
        let (ours, theirs) = both::<Value>(text.as_bytes());
        assert_eq!(ours, theirs);
        let (ours, theirs) = both::<Pod>(text.as_bytes());
        assert!(ours.is_some());
        assert_eq!(ours, theirs);
        let (ours, theirs) = both::<Small>(text.as_bytes());
        assert_eq!(ours, theirs);
    }
}

#[test]
fn numbers_are_what_serde_json_says() {
    for text in [
        "0",
        "-1",
        "18446744073709551615",
        "-9223372036854775808",
        "1e3",
        "-0.5",
        "1E400",
        "-",
        "01x",
    ] {
        let (ours, theirs) = both::<Value>(text.as_bytes());
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn strings_are_what_serde_json_says() {
    let long = "x".repeat(40);
    for inner in [
        "",
        "a",
        "exactly sixteen.",
        "a\\\"b",
        "\\u00fc",
        "ü",
        "\\",
        "\\q",
        &long,
        &format!("{long}\\n{long}"),
    ] {
        let text = format!("\"{inner}\"");
        let (ours, theirs) = both::<String>(text.as_bytes());
        assert_eq!(ours, theirs, "{text}");
        let (ours, theirs) = both::<String>(format!("{text}{}", " ".repeat(20)).as_bytes());
        assert_eq!(ours, theirs, "{text}");
    }
    assert!(read::<String>(b"\"\xff\"").is_err());
}

#[test]
fn enums_and_options_are_read() {
    #[derive(Debug, PartialEq, Deserialize)]
    enum Kind {
        Plain,
        With { number: u8 },
    }
    let text = br#"[null, "Plain", {"With": {"number": 3}}]"#;
    let read: Vec<Option<Kind>> = read(text).unwrap();
    assert_eq!(
        read,
        [None, Some(Kind::Plain), Some(Kind::With { number: 3 })]
    );
}

#[test]
fn what_is_wrong_is_an_error() {
    let deep = "[".repeat(100_000);
    for text in [
        "",
        " ",
        "{",
        "[1",
        "[1 2]",
        "{\"a\" 1}",
        "{1:2}",
        "\"a",
        "\"\\",
        "tru",
        "}",
        &deep,
    ] {
        assert!(read::<Value>(text.as_bytes()).is_err(), "{text:.20}");
    }
    let error = read::<Small>(br#"{"metadata":{"name":3}}"#).unwrap_err();
    assert!(
        error.to_string().starts_with("invalid type: integer `3`"),
        "{error}"
    );
}

#[test]
fn a_cut_off_text_is_an_error_wherever_it_is_cut() {
    let text = pod().to_string();
    for end in 0..text.len() {
        let text = &text.as_bytes()[..end];
        assert!(
            read::<Value>(text).is_err() && read::<IgnoredAny>(text).is_err(),
            "{end}"
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\\[\\]{}\"\\\\,:a-cü]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 200, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map("[\\]}{\"\\\\a-c]{0,9}", inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_is_stepped_over_to_its_end(value in any_json(), next in "[,}\\] \n]") {
        let text = value.to_string();
        let followed = format!("{text}{next}\"{{[");
        prop_assert_eq!(skip::value(followed.as_bytes()), Some(text.len()));
    }

    #[test]
    fn any_value_is_read_as_it_was_written(value in any_json()) {
        let text = value.to_string();
        prop_assert_eq!(read::<Value>(text.as_bytes()).ok(), Some(value));
    }

    #[test]
    fn a_field_after_what_is_not_wanted_is_found(value in any_json()) {
        let text = format!(r#"{{"other":{value},"tail":"t","more":{value:#}}}"#);
        let small: Small = read(text.as_bytes()).unwrap();
        prop_assert_eq!(small.tail.as_deref(), Some("t"));
    }

    #[test]
    fn no_text_makes_it_panic(bytes in prop::collection::vec(prop_oneof![
        Just(b'"'), Just(b'\\'), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b','),
        Just(b':'), Just(b'1'), any::<u8>(),
    ], 0..300)) {
        let _ = read::<Value>(&bytes);
        let _ = read::<Pod>(&bytes);
        let _ = read::<IgnoredAny>(&bytes);
    }
}
