//! Which fields a value has.

use schema::Node;
use serde_json::Value;

use super::{Keys, Shape, element};
use crate::{Element, FieldSet};

/// The fields that `value` sets: what its applier owns.
pub(crate) fn field_set(node: &Node, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match (Shape::of(node), value) {
        (Shape::Granular(keys), Value::Object(map)) => {
            for (key, value) in map {
                let mut below = field_set(keys.node(key), value);
                let is_empty_map = value.as_object().is_some_and(|m| m.is_empty());
                below.member |= value.is_null() || is_empty_map || !keys.names(key);
                set.put(Element::Field(key.clone()), below);
            }
        }
        (Shape::Associative(list), Value::Array(items)) => {
            for item in items {
                if let Ok(element) = element(list, item) {
                    let mut below = field_set(&list.items, item);
                    below.member = true;
                    set.put(element, below);
                }
            }
        }
        // A null or mistyped container has no fields; its parent may own it.
        (Shape::Associative(_) | Shape::Granular(Keys::Struct(_) | Keys::Map(_)), _) => {}
        (Shape::Leaf | Shape::Granular(Keys::Untyped), _) => set.member = true,
    }
    set
}

/// The set and the structs' fields on the way to its members.
pub(crate) fn with_named_fields(node: &Node, set: &FieldSet) -> FieldSet {
    let mut named = FieldSet {
        member: set.member,
        ..FieldSet::default()
    };
    let shape = Shape::of(node);
    for (element, below) in &set.children {
        let (child, is_field) = match (&shape, element) {
            (Shape::Granular(keys), Element::Field(name)) => (keys.node(name), keys.names(name)),
            (Shape::Associative(list), _) => (&list.items, false),
            _ => (&Node::Any, false),
        };
        let mut below = with_named_fields(child, below);
        below.member |= is_field;
        named.put(element.clone(), below);
    }
    named
}
