//! What must hold for every kind in the table.

use std::collections::HashSet;

use jiff::Timestamp;
use kinds::{Kind, Storage};
use serde_json::{Value, json};

fn stored() -> impl Iterator<Item = &'static &'static Kind> {
    kinds::all().iter().filter(|kind| kind.prefix().is_some())
}

#[test]
fn no_two_kinds_share_a_path_or_a_name() {
    let (mut paths, mut names) = (HashSet::new(), HashSet::new());
    for kind in kinds::all() {
        assert!(
            paths.insert((kind.group, kind.version, kind.plural)),
            "{}",
            kind.plural
        );
        assert!(
            names.insert((kind.group, kind.version, kind.kind)),
            "{}",
            kind.kind
        );
    }
}

#[test]
fn only_versions_of_one_thing_share_a_place_in_the_store() {
    let own = stored().filter(|kind| matches!(kind.storage, Storage::Stored { .. }));
    let mut prefixes = HashSet::new();
    for kind in own {
        let prefix = kind.prefix().expect("stored");
        assert!(prefixes.insert(prefix), "{prefix}");
    }
}

#[test]
fn names_follow_from_the_kind() {
    for kind in kinds::all() {
        assert_eq!(kind.list_kind, format!("{}List", kind.kind));
        assert_eq!(kind.singular, kind.kind.to_lowercase());
        assert!(kind.verbs.is_sorted(), "{}", kind.kind);
        assert!(
            kind.subresources.is_sorted_by_key(|sub| sub.name),
            "{}",
            kind.kind
        );
    }
}

#[test]
fn every_kind_has_a_schema() {
    for kind in kinds::all() {
        assert!(
            schema::of(kind.group, kind.version, kind.kind).is_some(),
            "{}",
            kind.kind
        );
    }
}

#[test]
fn every_listable_kind_of_the_schemas_is_in_the_table() {
    let all: HashSet<_> = schema::kinds().collect();
    // Discovery's own kind is listed, but is no resource.
    for (group, version, kind) in all.iter().filter(|(_, _, kind)| *kind != "APIGroup") {
        let list = format!("{kind}List");
        let is_listable = all
            .iter()
            .any(|(g, v, k)| (g, v) == (group, version) && *k == list);
        let known = kinds::find_kind(group, version, kind).is_some();
        assert!(known || !is_listable, "{group}/{version} {kind}");
    }
}

#[test]
fn an_empty_object_is_defaulted_prepared_refused_and_shown_without_a_panic() {
    let now = Timestamp::UNIX_EPOCH;
    for kind in kinds::all() {
        for mut object in [json!({}), json!({"metadata": {}, "spec": {}, "status": {}})] {
            let old = object.clone();
            (kind.default)(&mut object);
            (kind.prepare_create)(&mut object);
            let _ = kind.check_create(&object);
            assert_eq!(
                (kind.row)(&object, now).len(),
                kind.columns.len(),
                "{}",
                kind.kind
            );
            for change in [kind.prepare_update, kind.prepare_status_update] {
                let mut new = object.clone();
                change(&mut new, &old);
                let _ = kind.check_update(&new, &old);
                let _ = kind.check_status_update(&new, &old);
            }
        }
    }
}

#[test]
fn defaulting_twice_changes_nothing() {
    for kind in kinds::all() {
        let mut once = json!({"metadata": {"name": "a"}});
        (kind.default)(&mut once);
        let mut twice = once.clone();
        (kind.default)(&mut twice);
        assert_eq!(twice, once, "{}", kind.kind);
    }
}

#[test]
fn a_stored_object_without_a_name_is_refused() {
    for kind in stored() {
        let errors = kind.check_create(&json!({}));
        let name = errors.iter().find(|error| error.field == "metadata.name");
        assert!(name.is_some(), "{}", kind.kind);
    }
}

#[test]
fn selectable_fields_read_as_text_even_if_absent() {
    let object = json!({});
    for kind in kinds::all() {
        for label in kind.field_labels {
            let value = kind.field(&object, label.label).expect("listed");
            assert!(
                value.is_empty() || value == "false" || value == "0",
                "{}",
                label.label
            );
        }
        assert_eq!(kind.field(&object, "no.such.field"), None);
    }
}

#[test]
fn a_converted_object_comes_back_as_it_was() {
    for kind in kinds::all() {
        let Some(conversion) = kind.conversion() else {
            continue;
        };
        let mut object = json!({"apiVersion": kind.api_version(), "kind": kind.kind,
            "metadata": {"name": "a"}});
        (kind.default)(&mut object);
        let mut back = object.clone();
        (conversion.to_stored)(&mut back);
        assert_eq!(
            back["apiVersion"],
            Value::from(conversion.stored.api_version())
        );
        (conversion.from_stored)(&mut back);
        assert_eq!(back, object, "{}", kind.kind);
    }
}
