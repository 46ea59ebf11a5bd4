//! Names, verbs and subresources against recorded discovery.

use apimachinery::meta;
use kinds::{Kind, Scope};
use serde_json::Value;

/// What differs between a recorded `APIResource` and the table.
pub fn compare(group: &str, version: &str, resource: &Value) -> Vec<String> {
    let name = meta::text(resource, "name");
    let (plural, sub) = match name.split_once('/') {
        Some((plural, sub)) => (plural, Some(sub)),
        None => (name, None),
    };
    let Some(kind) = kinds::find(group, version, plural) else {
        return vec!["is not in the table".to_owned()];
    };
    match sub {
        Some(sub) => compare_sub(kind, sub, resource),
        None => compare_kind(kind, resource),
    }
}

fn texts(resource: &Value, field: &str) -> Vec<String> {
    let items = meta::items(resource, field).iter();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

fn differ(what: &str, want: impl std::fmt::Debug, got: impl std::fmt::Debug) -> Vec<String> {
    let (want, got) = (format!("{want:?}"), format!("{got:?}"));
    if want == got {
        Vec::new()
    } else {
        vec![format!("{what}: want {want}, got {got}")]
    }
}

fn compare_kind(kind: &Kind, resource: &Value) -> Vec<String> {
    let scope = if meta::flag(resource, "namespaced") {
        Scope::Namespaced
    } else {
        Scope::Cluster
    };
    [
        differ("kind", meta::text(resource, "kind"), kind.kind),
        differ("scope", scope, kind.scope),
        differ("verbs", sorted(texts(resource, "verbs")), kind.verbs),
        differ(
            "shortNames",
            texts(resource, "shortNames"),
            kind.short_names,
        ),
        differ("categories", texts(resource, "categories"), kind.categories),
    ]
    .concat()
}

fn compare_sub(kind: &Kind, name: &str, resource: &Value) -> Vec<String> {
    let Some(sub) = kind.subresource(name) else {
        return vec!["is not in the table".to_owned()];
    };
    let mut problems = differ("kind", meta::text(resource, "kind"), sub.kind);
    problems.extend(differ("verbs", sorted(texts(resource, "verbs")), sub.verbs));
    let group = meta::text(resource, "group");
    if !group.is_empty() {
        problems.extend(differ("group", group, sub.group));
        problems.extend(differ(
            "version",
            meta::text(resource, "version"),
            sub.version,
        ));
    }
    problems
}
