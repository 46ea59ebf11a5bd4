use serde_json::json;

use super::*;

#[test]
fn fields_v1_round_trips() {
    let fields = json!({
        "f:metadata": {"f:labels": {".": {}, "f:a/b": {}}, "f:finalizers": {"v:\"x.y/z\"": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:image": {}}}, "f:list": {"i:3": {}}},
    });
    let set = FieldSet::decode(&fields).expect("well formed");
    assert_eq!(set.encode(), fields);
}

#[test]
fn keys_are_canonical_whatever_order_they_came_in() {
    let one = FieldSet::decode(&json!({"k:{\"b\":1, \"a\":\"x\"}": {}}));
    let other = FieldSet::decode(&json!({"k:{\"a\":\"x\",\"b\":1}": {}}));
    assert!(one.is_some());
    assert_eq!(one, other);
}

#[test]
fn malformed_fields_are_refused() {
    for fields in [
        json!([]),
        json!({"x": {}}),
        json!({"f:a": 1}),
        json!({"k:x": {}}),
        json!({"i:x": {}}),
    ] {
        assert_eq!(FieldSet::decode(&fields), None, "{fields}");
    }
    let deep = (0..1000).fold(json!({}), |inner, _| json!({"f:a": inner}));
    assert_eq!(FieldSet::decode(&deep), None);
}

#[test]
fn subtracting_takes_members_and_subtracting_below_takes_trees() {
    let set =
        FieldSet::decode(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}})).expect("well formed");
    let a = FieldSet::of(&[&["a"]]);
    let mut members = set.clone();
    members.subtract(&a);
    assert_eq!(members.encode(), json!({"f:a": {"f:b": {}}, "f:c": {}}));
    let mut trees = set.clone();
    trees.subtract_below(&a);
    assert_eq!(trees.encode(), json!({"f:c": {}}));
    let mut nothing = set.clone();
    nothing.subtract(&set);
    assert!(nothing.is_empty());
}

#[test]
fn union_and_intersection_are_those_of_their_paths() {
    let a = FieldSet::of(&[&["x"], &["y", "z"]]);
    let b = FieldSet::of(&[&["y"], &["y", "z"], &["w"]]);
    assert_eq!(a.intersection(&b), FieldSet::of(&[&["y", "z"]]));
    let mut both = a.clone();
    both.extend(b);
    assert_eq!(both, FieldSet::of(&[&["x"], &["y"], &["y", "z"], &["w"]]));
}

#[test]
fn paths_are_printed_as_kubernetes_prints_them() {
    let fields = json!({"f:spec": {
        "f:replicas": {},
        "f:ports": {"k:{\"port\":53,\"protocol\":\"UDP\"}": {"f:name": {}}},
        "f:finalizers": {"v:\"a\"": {}},
    }});
    let set = FieldSet::decode(&fields).expect("well formed");
    assert_eq!(
        set.paths(),
        [
            ".spec.replicas",
            ".spec.finalizers[=\"a\"]",
            ".spec.ports[port=53,protocol=\"UDP\"].name",
        ]
    );
}

#[test]
fn what_is_kept_undecoded_is_what_would_be_written_again() {
    let deep = (0..70).fold(json!({}), |below, _| json!({"f:a": below}));
    let documents = [
        json!({}),
        json!({"f:a": {}}),
        json!({"f:a": {".": {}, "f:b": {}}, "k:{\"a\":1,\"b\":\"x\"}": {"f:c": {}}, "v:\"x\"": {}, "i:-3": {}}),
        json!({".": {}}),
        json!({".": {}, "f:a": {}}),
        json!({"f:a": {".": {}}}),
        json!({"f:a": {".": {"f:b": {}}, "f:c": {}}}),
        json!({"k:{\"b\":1,\"a\":2}": {}}),
        json!({"v: \"x\"": {}}),
        json!({"i:03": {}}),
        json!({"f:a": null}),
        json!({"q:a": {}}),
        json!([]),
        deep,
    ];
    for fields in documents {
        let again = FieldSet::decode(&fields).map(|set| set.encode());
        assert_eq!(
            FieldSet::is_encoding(&fields),
            again.as_ref() == Some(&fields),
            "{fields}"
        );
    }
}

#[test]
fn sets_meet_where_both_have_the_same_path() {
    let set = FieldSet::of(&[&["a", "b"], &["c"]]);
    for (fields, met) in [
        (json!({"f:a": {"f:b": {}}}), true),
        (json!({"f:a": {"f:b": {".": {}, "f:x": {}}}}), true),
        (json!({"f:c": {}}), true),
        (json!({"f:a": {}}), false),
        (json!({"f:a": {"f:b": {"f:x": {}}}}), false),
        (json!({"f:c": {"f:x": {}}}), false),
        (json!({}), false),
    ] {
        assert_eq!(set.meets(&fields), met, "{fields}");
    }
}
