use serde_json::json;

use super::*;

fn pod() -> &'static Node {
    schema::of("", "v1", "Pod").expect("built in")
}

fn names(value: &Value) -> Vec<&str> {
    let containers = value["spec"]["containers"].as_array().expect("a list");
    containers
        .iter()
        .filter_map(|c| c["name"].as_str())
        .collect()
}

fn containers(names: &[&str]) -> Value {
    let items: Vec<_> = names.iter().map(|n| json!({"name": n})).collect();
    json!({"spec": {"containers": items}})
}

#[test]
fn merged_lists_keep_the_applied_order_and_others_their_place() {
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]),
        (&["a", "b"], &["n"], &["a", "b", "n"]),
        (&["a", "b"], &["n", "a"], &["n", "a", "b"]),
        (&["a", "x", "b"], &["a", "b"], &["a", "x", "b"]),
        (&[], &["a"], &["a"]),
        (&["a", "b", "c"], &["c", "b", "a"], &["c", "b", "a"]),
    ];
    for (live, applied, wanted) in cases {
        let merged = merge(pod(), Some(&containers(live)), Some(&containers(applied)));
        let merged = merged.expect("not empty");
        assert_eq!(names(&merged), wanted, "{live:?} + {applied:?}");
    }
}

#[test]
fn duplicate_items_are_compared_as_one() {
    let twice = json!({"spec": {"containers": [{"name": "a"}, {"name": "a", "image": "x"}]}});
    let once = containers(&["a"]);
    let comparison = compare(pod(), Some(&twice), Some(&once));
    assert_eq!(
        comparison.changed.encode(),
        json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {}}}})
    );
    assert_eq!(
        compare(pod(), Some(&twice), Some(&twice)),
        Comparison::default()
    );
}

#[test]
fn removing_every_field_of_a_value_removes_the_value() {
    let value = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"nodeName": "n"}});
    let set = field_set(pod(), &json!({"metadata": {"labels": {"a": "1"}}}));
    assert_eq!(
        remove(pod(), &value, &set, None),
        Some(json!({"spec": {"nodeName": "n"}}))
    );
    let all = field_set(pod(), &value);
    assert_eq!(remove(pod(), &value, &all, None), None);
    let labels = crate::FieldSet::of(&[&["metadata", "labels"]]);
    assert_eq!(
        remove(pod(), &value, &all, Some(&labels)),
        Some(json!({"metadata": {"labels": {}}}))
    );
}

#[test]
fn opaque_json_is_owned_key_by_key() {
    let node = schema::of("apps", "v1", "ControllerRevision").expect("built in");
    let value = json!({"data": {"a": {"b": [1]}}});
    assert_eq!(
        field_set(node, &value).encode(),
        json!({"f:data": {"f:a": {".": {}, "f:b": {}}}})
    );
}
