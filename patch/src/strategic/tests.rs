use serde_json::json;

use super::*;

fn pod_spec() -> &'static Node {
    schema::of("", "v1", "Pod").expect("built in")
}

fn deployment() -> &'static Node {
    schema::of("apps", "v1", "Deployment").expect("built in")
}

fn patched(doc: &Value, patch: &Value) -> Value {
    strategic(doc, patch.to_string().as_bytes(), pod_spec()).expect("a patch that fits")
}

fn containers(items: Value) -> Value {
    json!({"spec": {"containers": items}})
}

/// (name, patch, containers afterwards) on containers `c` with env A=1, B=2, and `d`.
#[test]
fn lists_merge_by_key_and_obey_directives() {
    let c = json!({"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
    let d = json!({"name": "d", "image": "j"});
    let doc = containers(json!([c, d]));
    let cases = [
        (
            "a new item goes first",
            json!([{"name": "n", "image": "x"}]),
            json!([{"name": "n", "image": "x"}, c, d]),
        ),
        (
            "fields of an item merge",
            json!([{"name": "d", "image": "k"}]),
            json!([c, {"name": "d", "image": "k"}]),
        ),
        (
            "an item is deleted",
            json!([{"name": "c", "$patch": "delete"}]),
            json!([d]),
        ),
        (
            "deleting what is not there changes nothing",
            json!([{"name": "zz", "$patch": "delete"}]),
            json!([c, d]),
        ),
        (
            "the list is replaced",
            json!([{"$patch": "replace"}, {"name": "only"}]),
            json!([{"name": "only"}]),
        ),
        (
            "an item is replaced where it stands by its own directive",
            json!([{"$patch": "merge", "name": "d", "image": null}]),
            json!([c, {"name": "d"}]),
        ),
        (
            "inner lists merge too",
            json!([{"name": "c", "env": [{"name": "B", "value": "3"}, {"name": "A", "$patch": "delete"}]}]),
            json!([{"name": "c", "image": "i", "env": [{"name": "B", "value": "3"}]}, d]),
        ),
    ];
    for (claim, patch, wanted) in cases {
        assert_eq!(
            patched(&doc, &containers(patch)),
            containers(wanted),
            "{claim}"
        );
    }
}

#[test]
fn set_element_order_puts_items_in_its_order() {
    let doc = containers(json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]));
    let patch = json!({"spec": {
        "$setElementOrder/containers": [{"name": "n"}, {"name": "c"}, {"name": "a"}],
        "containers": [{"name": "n", "image": "x"}],
    }});
    assert_eq!(
        patched(&doc, &patch),
        containers(
            json!([{"name": "n", "image": "x"}, {"name": "b"}, {"name": "c"}, {"name": "a"}])
        )
    );
    let only_order = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "b"}, {"name": "a"}]}});
    assert_eq!(
        patched(&doc, &only_order),
        containers(json!([{"name": "c"}, {"name": "b"}, {"name": "a"}]))
    );
}

#[test]
fn a_patch_out_of_its_own_order_is_refused() {
    let patch = json!({"spec": {
        "$setElementOrder/containers": [{"name": "a"}, {"name": "b"}],
        "containers": [{"name": "b"}, {"name": "a"}],
    }});
    let error = strategic(
        &json!({"spec": {}}),
        patch.to_string().as_bytes(),
        pod_spec(),
    );
    let message = error.expect_err("out of order").to_string();
    assert!(
        message.contains("doesn't match $setElementOrder/containers"),
        "{message}"
    );
}

#[test]
fn primitive_lists_merge_as_sets_and_lose_what_is_deleted_from_them() {
    let doc = json!({"metadata": {"finalizers": ["a", "b"]}});
    assert_eq!(
        patched(&doc, &json!({"metadata": {"finalizers": ["b", "c"]}})),
        json!({"metadata": {"finalizers": ["a", "b", "c"]}})
    );
    assert_eq!(
        patched(
            &doc,
            &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}})
        ),
        json!({"metadata": {"finalizers": ["b"]}})
    );
    assert_eq!(
        patched(&doc, &json!({"metadata": {"finalizers": null}})),
        json!({"metadata": {}})
    );
}

#[test]
fn retain_keys_drops_what_it_does_not_name() {
    let doc =
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}});
    assert_eq!(
        strategic(&doc, patch.to_string().as_bytes(), deployment()),
        Ok(json!({"spec": {"strategy": {"type": "Recreate"}}}))
    );
    let volume = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
    let patch = json!({"spec": {"volumes": [
        {"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}});
    assert_eq!(
        patched(&volume, &patch),
        json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}})
    );
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["x"], "type": "Recreate"}}});
    assert_eq!(
        strategic(&doc, patch.to_string().as_bytes(), deployment()),
        Err(Error::Malformed(
            "invalid patch format of retainKeys".to_owned()
        ))
    );
}

#[test]
fn objects_are_replaced_or_emptied_on_request() {
    let doc = json!({"spec": {"securityContext": {"runAsUser": 1, "fsGroup": 2}}});
    let replace = json!({"spec": {"securityContext": {"$patch": "replace", "fsGroup": 3}}});
    assert_eq!(
        patched(&doc, &replace),
        json!({"spec": {"securityContext": {"fsGroup": 3}}})
    );
    let delete = json!({"spec": {"securityContext": {"$patch": "delete"}}});
    assert_eq!(
        patched(&doc, &delete),
        json!({"spec": {"securityContext": {}}})
    );
}

#[test]
fn a_field_with_the_replace_strategy_is_replaced() {
    let node = schema::of("policy", "v1", "PodDisruptionBudget").expect("built in");
    let doc = json!({"spec": {"selector": {"matchLabels": {"a": "1"}}}});
    let patch = json!({"spec": {"selector": {"matchLabels": {"b": "2"}}}});
    assert_eq!(
        strategic(&doc, patch.to_string().as_bytes(), node),
        Ok(patch)
    );
}

#[test]
fn atomic_lists_are_replaced() {
    let doc = json!({"spec": {"tolerations": [{"key": "a"}]}});
    let patch = json!({"spec": {"tolerations": [{"key": "b"}]}});
    assert_eq!(patched(&doc, &patch), patch);
}

#[test]
fn an_item_without_its_merge_key_is_refused_with_kubernetes_words() {
    let doc = containers(json!([{"name": "c"}]));
    let patch = containers(json!([{"image": "x"}]));
    let error = strategic(&doc, patch.to_string().as_bytes(), pod_spec());
    assert_eq!(
        error,
        Err(Error::Internal(
            "map: map[image:x] does not contain declared merge key: name".to_owned()
        ))
    );
}

#[test]
fn unknown_directives_and_bodies_that_are_no_objects_are_refused() {
    let run = |patch: &str| {
        strategic(
            &json!({"spec": {}, "metadata": {}}),
            patch.as_bytes(),
            pod_spec(),
        )
    };
    assert!(matches!(
        run(r#"{"spec": {"$patch": "leap"}}"#),
        Err(Error::Internal(_))
    ));
    assert!(matches!(run("[]"), Err(Error::Malformed(_))));
    assert!(matches!(run("{"), Err(Error::Malformed(_))));
    assert!(matches!(
        run(r#"{"metadata": {"$deleteFromPrimitiveList/finalizers": 1}}"#),
        Err(Error::Malformed(_))
    ));
}

#[test]
fn nulls_and_directives_of_new_values_do_not_reach_the_object() {
    let patch = json!({"spec": {"affinity": {"nodeAffinity": null, "podAffinity": {"$patch": "replace"}},
                                "containers": [{"name": "x", "env": null}, {"name": "y", "$patch": "delete"}]}});
    assert_eq!(
        patched(&json!({}), &patch),
        json!({"spec": {"affinity": {"podAffinity": {}}, "containers": [{"name": "x"}]}})
    );
}
