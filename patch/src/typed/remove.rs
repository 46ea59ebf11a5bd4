//! Taking fields out of a value.

use schema::Node;
use serde_json::{Map, Value};

use super::{Shape, element};
use crate::{Element, FieldSet};

/// The value without the fields in `set`. An object or list that loses all it has
/// goes too, unless it is itself in `owned`. `None` when nothing is left.
pub(crate) fn remove(
    node: &Node,
    value: &Value,
    set: &FieldSet,
    owned: Option<&FieldSet>,
) -> Option<Value> {
    let below = |element: &Element| (set.child(element), owned.and_then(|o| o.child(element)));
    let is_owned = owned.is_some_and(|o| o.member);
    match (Shape::of(node), value) {
        (Shape::Granular(keys), Value::Object(map)) => {
            let kept = map.iter().filter_map(|(key, value)| {
                let below = below(&Element::Field(key.clone()));
                Some((key.clone(), kept(keys.node(key), value, below)?))
            });
            let kept: Map<_, _> = kept.collect();
            (is_owned || !kept.is_empty()).then_some(Value::Object(kept))
        }
        (Shape::Associative(list), Value::Array(items)) => {
            let kept = items.iter().filter_map(|item| {
                let element = element(list, item).ok()?;
                kept(&list.items, item, below(&element))
            });
            let kept: Vec<_> = kept.collect();
            (is_owned || !kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => Some(value.clone()),
    }
}

fn kept(
    node: &Node,
    value: &Value,
    (set, owned): (Option<&FieldSet>, Option<&FieldSet>),
) -> Option<Value> {
    match set {
        None => Some(value.clone()),
        Some(set) if set.member => None,
        Some(set) => remove(node, value, set, owned),
    }
}
