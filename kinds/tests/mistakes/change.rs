//! What rows are made of.

use kinds::Kind;
use serde_json::{Value, json};

/// A good object of a kind, in the words of a manifest.
pub struct Good {
    kind: &'static Kind,
    object: Value,
}

impl Good {
    pub fn new(api_version: &str, kind: &str, rest: Value) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = kinds::find_kind(group, version, kind).expect("a built-in kind");
        let mut object = json!({"apiVersion": api_version, "kind": kind.kind,
            "metadata": {"name": "good", "uid": "u"}});
        if kind.is_namespaced() {
            object["metadata"]["namespace"] = "n".into();
        }
        merge(&mut object, rest);
        let good = Good { kind, object };
        let errors = good.errors(json!({}));
        assert_eq!(errors, Vec::<String>::new(), "the good {}", good.kind.kind);
        good
    }

    fn created(&self, change: Value) -> Value {
        let mut object = self.object.clone();
        merge(&mut object, change);
        (self.kind.default)(&mut object);
        (self.kind.prepare_create)(&mut object);
        object
    }

    /// What is wrong with the good object after a change (a JSON merge patch).
    pub fn errors(&self, change: Value) -> Vec<String> {
        let object = self.created(change);
        lines(&self.kind.check_create(&object))
    }

    /// What is wrong with making `to` of an object that is there; both are changes to the
    /// good one.
    pub fn update_errors(&self, from: Value, to: Value) -> Vec<String> {
        let old = self.created(from);
        let mut new = old.clone();
        merge(&mut new, to);
        (self.kind.default)(&mut new);
        (self.kind.prepare_update)(&mut new, &old);
        lines(&self.kind.check_update(&new, &old))
    }

    pub fn status_errors(&self, from: Value, to: Value) -> Vec<String> {
        let mut old = self.created(json!({}));
        merge(&mut old, from);
        let mut new = old.clone();
        merge(&mut new, to);
        (self.kind.prepare_status_update)(&mut new, &old);
        lines(&self.kind.check_status_update(&new, &old))
    }

    /// Every row is refused with exactly its lines.
    pub fn refuses(&self, rows: &[(Value, &[&str])]) {
        for (change, expected) in rows {
            assert_eq!(&self.errors(change.clone()), expected, "{change}");
        }
    }
}

fn lines(errors: &[apimachinery::field::Error]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

/// As RFC 7396 says, but an empty object replaces what is not an object.
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(fields) = target.as_object_mut() {
                fields.remove(&key);
            }
        } else {
            merge(&mut target[key], value);
        }
    }
}
