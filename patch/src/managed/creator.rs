//! What the creator of an object owns: all that the object has beyond an empty
//! one of its kind.
//!
//! The same as comparing it with the skeleton, for the one case that is a
//! hundred times as frequent as all others, written down at once: most of what
//! the comparison costs is making and joining sets that are then only encoded.

use schema::{List, Node, Object};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::skeleton::{Held, held};
use super::{SERVERS, skeleton};
use crate::typed::{Keys, Shape, compare, element, is_hollow};

/// What there would be without the creator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Null,
    /// The empty object of its kind.
    Empty,
}

/// The `fieldsV1` of the creator of `object`; `None` if the general way must be
/// gone. `except` are fields that the creator cannot set.
pub(super) fn fields(node: &Node, object: &Value, except: &[&[&str]]) -> Option<Value> {
    let (Node::Object(kind), Value::Object(object)) = (node, object) else {
        return None;
    };
    if kind.is_atomic() || except.iter().any(|path| path.len() != 1) {
        return None;
    }
    let mut owned = Map::new();
    for (key, value) in object {
        let path = [key.as_str()];
        if except.contains(&&path[..]) {
            continue;
        }
        if key == "metadata" {
            let below = metadata(kind, value)?;
            if !below.is_empty() {
                owned.insert(name(key), Value::Object(below));
            }
        } else if !SERVERS.contains(&&path[..]) {
            put_field(&mut owned, kind, Before::Empty, key, value);
        }
    }
    Some(Value::Object(owned))
}

/// What is owned of an object's metadata, but for the server's own fields.
fn metadata(kind: &Object, value: &Value) -> Option<Map<String, Value>> {
    let (Node::Object(node), Value::Object(fields)) = (&kind.field("metadata")?.node, value) else {
        return None;
    };
    if node.is_atomic() {
        return None;
    }
    let mut owned = Map::new();
    for (key, value) in fields {
        if !SERVERS.contains(&&["metadata", key.as_str()][..]) {
            put_field(&mut owned, node, Before::Empty, key, value);
        }
    }
    Some(owned)
}

fn put_field(
    owned: &mut Map<String, Value>,
    object: &Object,
    before: Before,
    key: &str,
    value: &Value,
) {
    let field = object.field(key);
    let held = field.filter(|_| before == Before::Empty).and_then(held);
    let before = match held {
        Some(Held::Object) => Before::Empty,
        Some(Held::Null) => Before::Null,
        None => Before::Nothing,
    };
    let node = field.map_or(&Node::Any, |field| &field.node);
    if let Some(below) = owned_of(node, before, value) {
        owned.insert(name(key), below);
    }
}

/// What is owned of one value, encoded; `None` if that is nothing.
fn owned_of(node: &Node, before: Before, value: &Value) -> Option<Value> {
    if is_hollow(Some(value)) {
        return hollow(node, before, value);
    }
    let mut owned = match (Shape::of(node), value) {
        (Shape::Granular(keys), Value::Object(fields)) => object(keys, before, fields),
        (Shape::Associative(list), Value::Array(items)) => items_of(list, items),
        _ => return Some(Value::Object(Map::new())),
    };
    if before == Before::Nothing && !owned.is_empty() {
        owned.insert(".".to_owned(), Value::Object(Map::new()));
    }
    (before == Before::Nothing || !owned.is_empty()).then_some(Value::Object(owned))
}

/// Null, `{}` and `[]`: rare enough to be compared in the general way.
fn hollow(node: &Node, before: Before, value: &Value) -> Option<Value> {
    let before = match before {
        Before::Nothing => None,
        Before::Null => Some(Value::Null),
        Before::Empty => Some(skeleton(node)),
    };
    let changed = compare(node, before.as_ref(), Some(value)).changed;
    (!changed.is_empty()).then(|| changed.encode())
}

fn object(keys: Keys<'_>, before: Before, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut owned = Map::new();
    for (key, value) in fields {
        match keys {
            Keys::Struct(object) => put_field(&mut owned, object, before, key, value),
            Keys::Map(_) | Keys::Untyped => {
                if let Some(below) = owned_of(keys.node(key), Before::Nothing, value) {
                    owned.insert(name(key), below);
                }
            }
        }
    }
    owned
}

fn items_of(list: &List, items: &[Value]) -> Map<String, Value> {
    let mut owned = Map::new();
    for item in items {
        let Ok(element) = element(list, item) else {
            continue;
        };
        let below = owned_of(&list.items, Before::Nothing, item);
        match owned.entry(element.encode()) {
            Entry::Vacant(entry) => {
                entry.insert(below.unwrap_or_default());
            }
            // Twice the same key: owned as a whole.
            Entry::Occupied(mut entry) => {
                entry.insert(Value::Object(Map::new()));
            }
        }
    }
    owned
}

fn name(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 2);
    name.push_str("f:");
    name.push_str(key);
    name
}
