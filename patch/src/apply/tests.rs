use serde_json::json;

use super::*;
use crate::managed;

/// What Kubernetes 1.23 answered to a row of applies: `live` is the object before
/// and `object` the one after (with defaults), or `error` its message.
const RECORDED: &str = include_str!("recorded.json");

fn node_of(object: &Value) -> &'static Node {
    let version = object["apiVersion"].as_str().expect("versioned");
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = object["kind"].as_str().expect("typed");
    schema::of(group, version, kind).expect("built in")
}

fn writer<'a>(object: &'a Value, manager: &'a str) -> Writer<'a> {
    Writer {
        manager,
        api_version: object["apiVersion"].as_str().expect("versioned"),
        subresource: "",
        time: "2027-01-01T00:00:00Z",
        reset: &[&["status"]],
    }
}

/// (manager, operation, fields) of every entry.
fn owners(object: &Value) -> Vec<(String, String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array();
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let mut owners: Vec<_> = entries
        .into_iter()
        .flatten()
        .map(|e| {
            (
                text(&e["manager"]),
                text(&e["operation"]),
                e["fieldsV1"].clone(),
            )
        })
        .collect();
    owners.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    owners
}

/// Everything in `part` is in `whole`; lists of objects item by item.
fn is_part_of(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .filter(|(key, _)| *key != "managedFields")
            .all(|(k, v)| whole.get(k).is_some_and(|w| is_part_of(v, w))),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(p, w)| is_part_of(p, w))
        }
        _ => part == whole,
    }
}

#[test]
fn applies_come_out_as_recorded() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).expect("a list");
    assert!(cases.len() > 10);
    for case in &cases {
        let name = &case["name"];
        let manager = case["manager"].as_str().expect("a manager");
        let (live, applied) = (&case["live"], &case["applied"]);
        let result = if case["merge"].is_object() {
            let body = case["merge"].to_string();
            let mut new = crate::merge(live, body.as_bytes()).expect("a patch");
            managed::update(Some(live), &mut new, &writer(live, manager), node_of(live));
            Ok(new)
        } else {
            let force = case["force"] == true;
            apply(
                live,
                applied,
                &writer(applied, manager),
                force,
                node_of(applied),
            )
        };
        match (result, case["error"].as_str()) {
            (Err(error), Some(wanted)) => assert_eq!(told(&error, applied), wanted, "{name}"),
            (Ok(object), None) => {
                let wanted = &case["object"];
                assert_eq!(owners(&object), owners(wanted), "{name}");
                // The recorded one has defaults besides.
                assert!(is_part_of(&object, wanted), "{name}: {object:#}");
            }
            (result, wanted) => panic!("{name}: {result:?} but recorded {wanted:?}"),
        }
    }
}

/// The error as the API server puts it.
fn told(error: &Error, applied: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match error {
        Error::Schema(why) => format!(
            "failed to create typed patch object (/{}; {}, Kind={}): {why}",
            text(&applied["metadata"]["name"]),
            text(&applied["apiVersion"]),
            text(&applied["kind"]),
        ),
        other => other.to_string(),
    }
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data})
}

fn apply_as(live: &Value, applied: &Value, manager: &str) -> Result<Value, Error> {
    apply(
        live,
        applied,
        &writer(applied, manager),
        false,
        node_of(applied),
    )
}

#[test]
fn applying_twice_changes_nothing_not_even_a_time() {
    let applied = config_map(json!({"a": "1"}));
    let live = apply_as(&Value::Null, &applied, "m").expect("applied");
    let later = Writer {
        time: "2028-01-01T00:00:00Z",
        ..writer(&applied, "m")
    };
    let again = apply(&live, &applied, &later, false, node_of(&applied));
    assert_eq!(again, Ok(live));
}

#[test]
fn removing_the_last_field_of_an_object_keeps_the_object_that_is_still_applied() {
    let pod = |empty_dir: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
               "spec": {"volumes": [{"name": "v", "emptyDir": empty_dir}]}})
    };
    let live = apply_as(&Value::Null, &pod(json!({"medium": "Memory"})), "m").expect("applied");
    let result = apply_as(&live, &pod(json!({})), "m").expect("applied");
    assert_eq!(
        result["spec"]["volumes"],
        json!([{"name": "v", "emptyDir": {}}])
    );
}

#[test]
fn an_object_that_was_never_applied_belongs_to_who_came_before() {
    let live = config_map(json!({"a": "1"}));
    let error = apply_as(&live, &config_map(json!({"a": "2"})), "m").expect_err("a conflict");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a"
    );
    let shared = apply_as(&live, &config_map(json!({"a": "1"})), "m").expect("the same value");
    let names: Vec<_> = owners(&shared).into_iter().map(|o| (o.0, o.1)).collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        names,
        [pair("before-first-apply", "Update"), pair("m", "Apply")]
    );
}

#[test]
fn kubectl_takes_over_what_it_applied_on_the_client_side() {
    let last = config_map(json!({"a": "1"})).to_string();
    let mut live = config_map(json!({"a": "1", "b": "x"}));
    live["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": last});
    let applied = config_map(json!({"a": "2"}));
    let result = apply_as(&live, &applied, "kubectl").expect("taken over");
    assert_eq!(result["data"], json!({"a": "2", "b": "x"}));
    let annotation =
        &result["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    let annotation: Value = serde_json::from_str(annotation.as_str().expect("text")).expect("json");
    assert_eq!(annotation, applied);
    assert!(apply_as(&live, &applied, "other").is_err());
    assert!(apply_as(&live, &config_map(json!({"b": "2"})), "kubectl").is_err());
    // Somebody else set the field since.
    live["data"]["a"] = "9".into();
    assert!(apply_as(&live, &applied, "kubectl").is_err());
}

#[test]
fn fields_that_the_endpoint_resets_are_nobodys() {
    let applied = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                         "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
    let result = apply_as(&Value::Null, &applied, "m").expect("applied");
    let wanted = json!({"f:spec": {"f:nodeName": {}}});
    assert_eq!(
        owners(&result),
        [("m".to_owned(), "Apply".to_owned(), wanted)]
    );
}

#[test]
fn sets_and_atomic_lists_are_owned_by_value_and_as_a_whole() {
    let pod = |finalizers: Value, tolerations: Value| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "finalizers": finalizers},
               "spec": {"tolerations": tolerations}})
    };
    let live = apply_as(
        &Value::Null,
        &pod(json!(["a/a"]), json!([{"key": "k"}])),
        "m1",
    )
    .expect("applied");
    let more = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "finalizers": ["b/b"]}});
    let live = apply_as(&live, &more, "m2").expect("no conflict over a set");
    assert_eq!(live["metadata"]["finalizers"], json!(["a/a", "b/b"]));
    let error = apply_as(&live, &pod(json!([]), json!([{"key": "z"}])), "m2").expect_err("atomic");
    assert_eq!(
        error.to_string(),
        "Apply failed with 1 conflict: conflict with \"m1\": .spec.tolerations"
    );
    let live = apply_as(&live, &pod(json!([]), json!([{"key": "k"}])), "m1").expect("applied");
    assert_eq!(live["metadata"]["finalizers"], json!(["b/b"]));
}

#[test]
fn a_patch_of_another_version_or_with_owners_is_malformed() {
    let mut applied = config_map(json!({}));
    let other = Writer {
        api_version: "v2",
        ..writer(&applied, "m")
    };
    assert!(matches!(
        apply(&Value::Null, &applied, &other, false, node_of(&applied)),
        Err(Error::Malformed(_))
    ));
    applied["metadata"]["managedFields"] = json!([]);
    assert_eq!(
        apply_as(&Value::Null, &applied, "m"),
        Err(Error::Malformed(
            "metadata.managedFields must be nil".to_owned()
        ))
    );
}

#[test]
fn types_that_do_not_fit_are_told_with_their_paths() {
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": "3", "template": {"spec": {"containers": [{"name": "c", "image": 5}, {"image": "x"}]}}}});
    let error = apply_as(&Value::Null, &deployment, "m").expect_err("ill typed");
    assert_eq!(
        error.to_string(),
        "errors:\n  \
         .spec.replicas: expected numeric (int or float), got string\n  \
         .spec.template.spec.containers[name=\"c\"].image: expected string, got &value.valueUnstructured{Value:5}\n  \
         .spec.template.spec.containers: element 1: associative list with keys has an element that omits key field \"name\" (and doesn't have default value)"
    );
}

#[test]
fn objects_of_custom_kinds_may_hold_nulls() {
    let field = |name: &str, node| schema::Field {
        name: name.into(),
        node,
        required: false,
        strategy: schema::Strategy::default(),
    };
    let object = |fields| {
        Node::Object(std::sync::Arc::new(schema::Object::new(
            "", false, false, fields,
        )))
    };
    let spec = object(vec![field("maybe", Node::String)]);
    let mut fields = vec![field("spec", spec)];
    let map = config_map(json!({}));
    for name in ["apiVersion", "kind", "metadata"] {
        fields.push(field(
            name,
            node_of(&map).child(name).expect("a field").clone(),
        ));
    }
    let mut applied = map.clone();
    applied.as_object_mut().expect("an object").remove("data");
    applied["spec"] = json!({"maybe": null});
    let made = apply(
        &Value::Null,
        &applied,
        &writer(&applied, "m"),
        false,
        &object(fields),
    );
    assert_eq!(made.expect("applied")["spec"], json!({"maybe": null}));
}
