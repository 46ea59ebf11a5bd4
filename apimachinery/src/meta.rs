//! Object metadata, read and written where it lies in a `serde_json::Value`.

use serde_json::{Map, Value};

/// The field at a dotted path below `object`; arrays are not entered.
#[inline(always)]
pub fn get<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let found = if first_part(path).len() == path.len() {
        object.get(path)
    } else {
        far(object, path)
    };
    found.filter(|value| !value.is_null())
}

fn far<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let (mut value, mut rest) = (object, path);
    loop {
        let part = first_part(rest);
        value = value.get(part)?;
        match rest.get(part.len() + 1..) {
            Some(next) => rest = next,
            None => return Some(value),
        }
    }
}

/// A dotted path up to its first dot.
///
/// Always inlined: of a path known at compile time nothing is left to look for.
#[inline(always)]
pub fn first_part(path: &str) -> &str {
    let bytes = path.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b'.' {
        end += 1;
    }
    &path[..end]
}

/// The text at a dotted path, empty when absent.
#[inline]
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    get(object, path).and_then(Value::as_str).unwrap_or("")
}

#[inline]
pub fn int(object: &Value, path: &str) -> Option<i64> {
    get(object, path).and_then(Value::as_i64)
}

#[inline]
pub fn flag(object: &Value, path: &str) -> bool {
    get(object, path).and_then(Value::as_bool).unwrap_or(false)
}

/// The items at a dotted path, none when absent.
#[inline]
pub fn items<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    get(object, path)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[inline]
pub fn map<'a>(object: &'a Value, path: &str) -> Option<&'a Map<String, Value>> {
    get(object, path).and_then(Value::as_object)
}

/// What a JSON value is, as Go's decoder calls it.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The object below `key`, made if absent or null. `value` must be an object.
pub fn entry<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let field = value
        .as_object_mut()
        .expect("made an object above")
        .entry(key)
        .or_insert(Value::Null);
    if field.is_null() {
        *field = Value::Object(Map::new());
    }
    field
}

/// Adds an item to the list below `key`, made if absent. `object` must be an object.
pub fn push(object: &mut Value, key: &str, item: Value) {
    match object.get_mut(key).and_then(Value::as_array_mut) {
        Some(list) => list.push(item),
        None => object[key] = Value::Array(vec![item]),
    }
}

/// Sets the field at a dotted path, making the objects on the way.
pub fn set(object: &mut Value, path: &str, value: impl Into<Value>) {
    let (parent, key) = match path.rsplit_once('.') {
        Some((above, key)) => (above.split('.').fold(object, entry), key),
        None => (object, path),
    };
    if !parent.is_object() {
        *parent = Value::Object(Map::new());
    }
    parent[key] = value.into();
}

/// Takes the field at a dotted path out of the object.
pub fn remove(object: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = match path.rsplit_once('.') {
        Some((above, key)) => {
            let parent = above
                .split('.')
                .try_fold(object, |value, part| value.get_mut(part))?;
            (parent, key)
        }
        None => (object, path),
    };
    parent.as_object_mut()?.remove(key)
}

fn meta<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(key)
}

fn meta_text<'a>(object: &'a Value, key: &str) -> &'a str {
    meta(object, key).and_then(Value::as_str).unwrap_or("")
}

pub fn api_version(object: &Value) -> &str {
    text(object, "apiVersion")
}

pub fn kind(object: &Value) -> &str {
    text(object, "kind")
}

pub fn name(object: &Value) -> &str {
    meta_text(object, "name")
}

pub fn generate_name(object: &Value) -> &str {
    meta_text(object, "generateName")
}

pub fn namespace(object: &Value) -> &str {
    meta_text(object, "namespace")
}

pub fn uid(object: &Value) -> &str {
    meta_text(object, "uid")
}

pub fn resource_version(object: &Value) -> &str {
    meta_text(object, "resourceVersion")
}

pub fn creation_timestamp(object: &Value) -> Option<&str> {
    meta(object, "creationTimestamp")?.as_str()
}

pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    meta(object, "deletionTimestamp")?.as_str()
}

pub fn deletion_grace_period_seconds(object: &Value) -> Option<i64> {
    meta(object, "deletionGracePeriodSeconds")?.as_i64()
}

pub fn generation(object: &Value) -> i64 {
    meta(object, "generation")
        .and_then(Value::as_i64)
        .unwrap_or(0)
}

pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    meta(object, "labels")?.as_object()
}

pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    labels(object)?.get(key)?.as_str()
}

pub fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    meta(object, "annotations")?.as_object()
}

pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    annotations(object)?.get(key)?.as_str()
}

pub fn owner_references(object: &Value) -> &[Value] {
    meta(object, "ownerReferences")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The owner that manages the object, if any.
pub fn controller(object: &Value) -> Option<&Value> {
    owner_references(object)
        .iter()
        .find(|owner| flag(owner, "controller"))
}

pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    meta(object, "finalizers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Sets one field of `metadata`.
pub fn set_meta(object: &mut Value, key: &str, value: impl Into<Value>) {
    entry(object, "metadata")[key] = value.into();
}

pub fn remove_meta(object: &mut Value, key: &str) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove(key)
}

pub fn set_label(object: &mut Value, key: &str, value: &str) {
    entry(entry(object, "metadata"), "labels")[key] = value.into();
}

pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    entry(entry(object, "metadata"), "annotations")[key] = value.into();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_metadata_reads_as_empty() {
        let object = json!({});
        assert_eq!(
            (name(&object), uid(&object), generation(&object)),
            ("", "", 0)
        );
        assert!(labels(&object).is_none() && owner_references(&object).is_empty());
    }

    #[test]
    fn setting_makes_the_objects_on_the_way() {
        let mut object = json!({});
        set_label(&mut object, "app", "web");
        set(&mut object, "spec.template.x", 1);
        assert_eq!(label(&object, "app"), Some("web"));
        assert_eq!(int(&object, "spec.template.x"), Some(1));
        assert_eq!(remove(&mut object, "spec.template.x"), Some(json!(1)));
        assert_eq!(get(&object, "spec.template.x"), None);
    }

    #[test]
    fn the_controller_is_the_owner_marked_so() {
        let object = json!({"metadata": {"ownerReferences": [
            {"name": "a"}, {"name": "b", "controller": true}]}});
        assert_eq!(
            controller(&object).map(|owner| &owner["name"]),
            Some(&json!("b"))
        );
    }
}
