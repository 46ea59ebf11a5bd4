//! Taking fields out of a value.

use schema::Node;
use serde_json::Value;

use super::{Shape, element};
use crate::{Element, FieldSet};

/// The value without the fields in `set`. `None` when nothing is left of it.
pub(crate) fn remove(node: &Node, value: &Value, set: &FieldSet) -> Option<Value> {
    match (Shape::of(node), value) {
        (Shape::Granular(keys), Value::Object(map)) => {
            let kept = map.iter().filter_map(|(key, value)| {
                let below = set.child(&Element::Field(key.clone()));
                Some((key.clone(), kept(keys.node(key), value, below)?))
            });
            let kept: serde_json::Map<_, _> = kept.collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (Shape::Associative(list), Value::Array(items)) => {
            let kept = items.iter().filter_map(|item| {
                let element = element(list, item).ok()?;
                kept(&list.items, item, set.child(&element))
            });
            let kept: Vec<_> = kept.collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => Some(value.clone()),
    }
}

fn kept(node: &Node, value: &Value, set: Option<&FieldSet>) -> Option<Value> {
    match set {
        None => Some(value.clone()),
        Some(set) if set.member => None,
        Some(set) => remove(node, value, set),
    }
}
