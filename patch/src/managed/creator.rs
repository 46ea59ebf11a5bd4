//! What the creator of an object owns: all that the object has beyond an empty
//! one of its kind.
//!
//! The same as comparing it with the skeleton, for the one case that is a
//! hundred times as frequent as all others, written down at once: most of what
//! the comparison costs is making and joining sets that are then only encoded.

use schema::{List, Node, Object};
use serde_json::{Map, Value};

use super::skeleton::{Held, held};
use super::{SERVERS_METADATA, SERVERS_OWN, skeleton};
use crate::Element;
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
    let mut owned = Owned::below(Before::Empty, object.len());
    for (key, value) in object {
        if except.iter().any(|path| path[0] == key) {
            continue;
        }
        if key == "metadata" {
            owned.put(name(key), metadata(kind, value)?.encode());
        } else if !SERVERS_OWN.contains(&key.as_str()) {
            owned.put_field(kind, key, value);
        }
    }
    Some(owned.encode().unwrap_or_else(leaf))
}

/// What is owned of an object's metadata, but for the server's own fields.
fn metadata(kind: &Object, value: &Value) -> Option<Owned> {
    let (Node::Object(node), Value::Object(fields)) = (&kind.field("metadata")?.node, value) else {
        return None;
    };
    if node.is_atomic() {
        return None;
    }
    let mut owned = Owned::below(Before::Empty, fields.len());
    for (key, value) in fields {
        if !SERVERS_METADATA.contains(&key.as_str()) {
            owned.put_field(node, key, value);
        }
    }
    Some(owned)
}

/// What is owned of one value, encoded; `None` if that is nothing.
fn owned_of(node: &Node, before: Before, value: &Value) -> Option<Value> {
    if is_hollow(Some(value)) {
        return hollow(node, before, value);
    }
    match (Shape::of(node), value) {
        (Shape::Granular(keys), Value::Object(fields)) => object(keys, before, fields),
        (Shape::Associative(list), Value::Array(items)) => items_of(list, before, items),
        _ => return Some(leaf()),
    }
    .encode()
}

/// Null, `{}` and `[]`: owned as a whole where there was nothing, else rare enough
/// to be compared in the general way.
fn hollow(node: &Node, before: Before, value: &Value) -> Option<Value> {
    let before = match before {
        Before::Nothing => return Some(leaf()),
        Before::Null => Value::Null,
        Before::Empty => skeleton(node),
    };
    let changed = compare(node, Some(&before), Some(value)).changed;
    (!changed.is_empty()).then(|| changed.encode())
}

fn object(keys: Keys<'_>, before: Before, fields: &Map<String, Value>) -> Owned {
    let mut owned = Owned::below(before, fields.len());
    for (key, value) in fields {
        match keys {
            Keys::Struct(object) => owned.put_field(object, key, value),
            Keys::Map(_) | Keys::Untyped => {
                owned.put(name(key), owned_of(keys.node(key), Before::Nothing, value));
            }
        }
    }
    owned
}

fn items_of(list: &List, before: Before, items: &[Value]) -> Owned {
    let mut owned = Owned::below(before, items.len());
    for item in items {
        if let Ok(element) = element(list, item) {
            let below = owned_of(&list.items, Before::Nothing, item);
            owned.put(element.encode(), below);
        }
    }
    owned.join_equal();
    owned
}

/// One level of `fieldsV1`, its keys in order: a map is built of all its entries at
/// once for less than by one insertion each.
struct Owned {
    before: Before,
    entries: Vec<(String, Value)>,
}

impl Owned {
    fn below(before: Before, capacity: usize) -> Self {
        let mut entries = Vec::with_capacity(capacity + 1);
        if before == Before::Nothing {
            entries.push((".".to_owned(), leaf()));
        }
        Self { before, entries }
    }

    fn put(&mut self, key: String, below: Option<Value>) {
        self.entries.extend(below.map(|below| (key, below)));
    }

    fn put_field(&mut self, object: &Object, key: &str, value: &Value) {
        let field = object.field(key);
        let held = field
            .filter(|_| self.before == Before::Empty)
            .and_then(held);
        let before = match held {
            Some(Held::Object) => Before::Empty,
            Some(Held::Null) => Before::Null,
            None => Before::Nothing,
        };
        let node = field.map_or(&Node::Any, |field| &field.node);
        if let Some(below) = owned_of(node, before, value) {
            self.entries.push((name(key), below));
        }
    }

    /// What has one key twice is owned as a whole.
    fn join_equal(&mut self) {
        self.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.entries.dedup_by(|(key, _), (first, below)| {
            let is_equal = key == first;
            if is_equal {
                *below = leaf();
            }
            is_equal
        });
    }

    /// `None` if that is nothing.
    fn encode(self) -> Option<Value> {
        match (self.before, self.entries.len()) {
            (Before::Nothing, 1) => Some(leaf()),
            (_, 0) => None,
            _ => Some(Value::Object(self.entries.into_iter().collect())),
        }
    }
}

/// Something owned as a whole.
fn leaf() -> Value {
    Value::Object(Map::new())
}

fn name(key: &str) -> String {
    Element::encoded('f', key)
}
