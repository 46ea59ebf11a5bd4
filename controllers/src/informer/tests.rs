use super::*;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use std::sync::Mutex;

fn object(name: &str, revision: u64, owner: Option<&str>) -> ConfigMap {
    let owners = owner.map(|uid| json!([{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": uid, "controller": true }]));
    serde_json::from_value(json!({ "metadata": {
        "name": name, "namespace": "d", "resourceVersion": revision.to_string(), "ownerReferences": owners } }))
    .unwrap()
}

fn synced(objects: &[ConfigMap]) -> Arc<Informer<ConfigMap>> {
    let informer = Informer::new();
    informer.take(Event::Init);
    for object in objects {
        informer.take(Event::InitApply(object.clone()));
    }
    done(&informer, 0);
    informer
}

fn done(informer: &Informer<ConfigMap>, version: u64) {
    let version = version.to_string();
    informer.take(Event::InitDone { version });
}

#[test]
fn answer_to_a_write_shows_before_the_watch_brings_it_and_is_told_once() {
    let informer = synced(&[]);
    let told = Arc::new(Mutex::new(0));
    let count = told.clone();
    informer.on_change(move |_, _| *count.lock().unwrap() += 1);
    informer.note(object("a", 5, None));
    assert_eq!(informer.in_namespace("d").len(), 1);
    informer.take(Event::Apply(object("a", 5, None)));
    assert_eq!(*told.lock().unwrap(), 1);
}

#[test]
fn late_answer_does_not_bring_a_deleted_object_back() {
    let informer = synced(&[]);
    informer.take(Event::Apply(object("a", 5, None)));
    informer.take(Event::Delete(object("a", 6, None)));
    informer.note(object("a", 5, None));
    assert!(informer.in_namespace("d").is_empty());
}

#[test]
fn older_event_does_not_undo_a_newer_answer() {
    let informer = synced(&[object("a", 5, None)]);
    informer.note(object("a", 7, Some("u")));
    informer.take(Event::Apply(object("a", 6, None)));
    assert_eq!(informer.owned_by("u").len(), 1);
}

#[test]
fn object_missing_from_a_second_list_is_gone() {
    let informer = synced(&[object("a", 5, Some("u")), object("b", 6, None)]);
    informer.take(Event::Init);
    informer.take(Event::InitApply(object("b", 6, None)));
    done(&informer, 6);
    assert_eq!(informer.in_namespace("d").len(), 1);
    assert!(informer.owned_by("u").is_empty());
    assert_eq!(informer.orphans("d").len(), 1);
}

#[test]
fn object_that_changes_hands_is_with_the_new_owner_alone() {
    let informer = synced(&[object("a", 5, None), object("b", 6, None)]);
    informer.take(Event::Apply(object("a", 7, Some("u"))));
    assert_eq!(informer.owned_by("u").len(), 1);
    assert_eq!(informer.orphans("d").len(), 1);
    informer.take(Event::Apply(object("a", 8, Some("v"))));
    assert!(informer.owned_by("u").is_empty());
    informer.take(Event::Apply(object("a", 9, None)));
    assert!(informer.owned_by("v").is_empty());
    assert_eq!(informer.orphans("d").len(), 2);
    informer.take(Event::Delete(object("a", 10, None)));
    assert_eq!(informer.orphans("d").len(), 1);
}

#[test]
fn what_a_write_made_after_a_list_began_is_not_gone_for_being_unlisted() {
    let informer = synced(&[object("a", 5, None)]);
    informer.take(Event::Init);
    informer.take(Event::InitApply(object("a", 5, None)));
    informer.note(object("b", 12, Some("u")));
    done(&informer, 10);
    assert_eq!(informer.owned_by("u").len(), 1);
}

#[test]
fn late_answer_does_not_bring_back_what_a_list_lacked() {
    let informer = synced(&[object("a", 5, None)]);
    informer.take(Event::Init);
    done(&informer, 10);
    informer.note(object("a", 7, None));
    assert!(informer.in_namespace("d").is_empty());
}

#[test]
fn late_end_of_an_object_leaves_the_next_of_its_name() {
    let informer = synced(&[object("a", 5, None)]);
    informer.forget(&Key::new("d", "a"));
    informer.note(object("a", 8, Some("u")));
    informer.take(Event::Delete(object("a", 7, None)));
    assert_eq!(informer.owned_by("u").len(), 1);
}
