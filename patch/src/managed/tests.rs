use serde_json::json;

use super::*;

fn pod() -> &'static Node {
    schema::of("", "v1", "Pod").expect("built in")
}

fn writer(manager: &str) -> Writer<'_> {
    Writer {
        manager,
        api_version: "v1",
        subresource: "",
        time: "2027-01-01T00:00:00Z",
        reset: &[&["status"]],
    }
}

fn fields(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let found = entries
        .into_iter()
        .flatten()
        .find(|e| e["manager"] == manager);
    found.map_or(Value::Null, |e| e["fieldsV1"].clone())
}

fn created(manager: &str) -> Value {
    let mut object = json!({
        "metadata": {"name": "p", "labels": {"a": "1"}},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}],
                 "dnsPolicy": "Default", "securityContext": {}},
        "status": {"phase": "Pending"},
    });
    update(None, &mut object, &writer(manager), pod());
    object
}

#[test]
fn a_creator_owns_what_it_set_as_kubernetes_writes_it() {
    let object = created("m");
    assert_eq!(
        object["metadata"]["managedFields"],
        json!([{
            "manager": "m", "operation": "Update", "apiVersion": "v1",
            "time": "2027-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
                "f:spec": {
                    "f:containers": {"k:{\"name\":\"c\"}": {
                        ".": {}, "f:name": {}, "f:image": {},
                        "f:resources": {".": {}, "f:requests": {".": {}, "f:cpu": {}}},
                    }},
                    "f:dnsPolicy": {}, "f:securityContext": {},
                },
            },
        }])
    );
}

#[test]
fn who_changes_a_field_takes_it_and_who_removes_it_takes_it_from_all() {
    let live = created("m1");
    let mut new = live.clone();
    new["spec"]["containers"][0]["image"] = "j".into();
    new["metadata"]["labels"] = json!({"b": "2"});
    update(Some(&live), &mut new, &writer("m2"), pod());
    assert_eq!(
        fields(&new, "m2"),
        json!({
            "f:metadata": {"f:labels": {"f:b": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {"f:image": {}}}},
        })
    );
    let m1 = fields(&new, "m1");
    assert_eq!(m1["f:metadata"], json!({"f:labels": {}}));
    assert!(m1["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"]["f:image"].is_null());
}

#[test]
fn an_update_that_changes_nothing_touches_no_entry() {
    let live = created("m1");
    let mut new = live.clone();
    let later = Writer {
        time: "2028-01-01T00:00:00Z",
        ..writer("m2")
    };
    update(Some(&live), &mut new, &later, pod());
    assert_eq!(new, live);
}

#[test]
fn a_client_that_knows_no_managed_fields_does_not_lose_them() {
    let live = created("m1");
    let mut new = live.clone();
    remove_managed_fields(&mut new);
    update(Some(&live), &mut new, &writer("m2"), pod());
    assert_eq!(new, live);
}

#[test]
fn a_client_may_reset_all_ownership_and_the_object_then_stays_untracked() {
    for reset in [json!([]), json!([{}])] {
        let live = created("m1");
        let mut new = live.clone();
        new["metadata"]["managedFields"] = reset;
        update(Some(&live), &mut new, &writer("m2"), pod());
        assert!(new["metadata"].get("managedFields").is_none());
        let live = new.clone();
        new["metadata"]["labels"]["a"] = "9".into();
        update(Some(&live), &mut new, &writer("m2"), pod());
        assert!(new["metadata"].get("managedFields").is_none());
    }
}

#[test]
fn a_subresource_has_an_entry_of_its_own() {
    let live = created("m");
    let mut new = live.clone();
    new["status"]["phase"] = "Running".into();
    let status = Writer {
        subresource: "status",
        reset: &[&["spec"]],
        ..writer("m")
    };
    update(Some(&live), &mut new, &status, pod());
    let entries = new["metadata"]["managedFields"]
        .as_array()
        .expect("entries");
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["subresource"], "status");
    assert_eq!(entries[1]["fieldsV1"], json!({"f:status": {"f:phase": {}}}));
}

#[test]
fn the_oldest_updaters_are_joined_when_there_are_more_than_ten() {
    let mut live = created("m0");
    for at in 1..=12 {
        let mut new = live.clone();
        let manager = format!("m{at}");
        new["metadata"]["labels"][&manager] = "x".into();
        let time = format!("2027-01-01T00:00:{at:02}Z");
        let writer = Writer {
            time: &time,
            ..writer(&manager)
        };
        update(Some(&live), &mut new, &writer, pod());
        live = new;
    }
    let entries = live["metadata"]["managedFields"]
        .as_array()
        .expect("entries");
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[0]["manager"], "ancient-changes");
    assert_eq!(
        fields(&live, "ancient-changes")["f:metadata"]["f:labels"],
        json!({".": {}, "f:a": {}, "f:m1": {}, "f:m2": {}, "f:m3": {}})
    );
}

#[test]
fn malformed_entries_count_as_none() {
    let mut live = created("m1");
    live["metadata"]["managedFields"] = json!([{"operation": "Dance"}]);
    let mut new = live.clone();
    new["metadata"]["labels"]["a"] = "9".into();
    update(Some(&live), &mut new, &writer("m2"), pod());
    assert!(new["metadata"].get("managedFields").is_none());
}

#[test]
fn the_manager_of_a_request_without_one_is_its_user_agent() {
    assert_eq!(manager_or_agent("m", "kubectl/v1"), "m");
    assert_eq!(manager_or_agent("", "kubectl/v1.32 (linux)"), "kubectl");
    assert_eq!(manager_or_agent("", ""), "unknown");
    assert_eq!(manager_or_agent("", &"é".repeat(200)).chars().count(), 128);
}

#[test]
fn a_creator_owns_hollow_values_and_doubled_items_as_the_comparison_has_it() {
    let objects = [
        json!({"metadata": {}, "spec": {}}),
        json!({"metadata": {"labels": {}}, "spec": null, "status": {}}),
        json!({"spec": {"containers": null, "volumes": [], "nodeSelector": null}}),
        json!({"spec": {"containers": [], "securityContext": null}}),
        json!({"spec": {"containers": [{"name": "a"}, {"name": "a", "image": "i"}, {"image": "j"}]}}),
        json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}], "env": [{}]}]}}),
        json!({"metadata": {"name": "n", "finalizers": ["a", "b", "a"], "ownerReferences": [{"uid": "u"}]}}),
        json!({"spec": {"overhead": {"cpu": null}, "affinity": {"nodeAffinity": {}}}, "unknown": {"a": [1]}}),
    ];
    for object in objects {
        let writer = writer("m");
        let mut general = difference(pod(), &skeleton(pod()), &object, &writer).changed;
        strip(&mut general);
        let fields = creator::fields(pod(), &object, writer.reset);
        assert_eq!(fields, Some(general.encode()), "{object}");
    }
}
