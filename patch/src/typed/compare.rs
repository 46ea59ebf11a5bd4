//! How two values differ.

use std::collections::BTreeMap;

use schema::{List, Node};
use serde_json::{Map, Value};

use super::{Keys, Shape, element, is_hollow};
use crate::{Element, FieldSet};

/// What it takes to come from one value to another.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Comparison {
    /// Fields added, or set to another value.
    pub changed: FieldSet,
    pub removed: FieldSet,
}

impl Comparison {
    fn leaf(before: Option<&Value>, after: Option<&Value>) -> Self {
        let mut comparison = Self::default();
        comparison.mark(before, after);
        if before.is_some() && after.is_some() && before != after {
            comparison.changed.member = true;
        }
        comparison
    }

    /// Something that is on one side only was added or removed.
    fn mark(&mut self, before: Option<&Value>, after: Option<&Value>) {
        self.changed.member |= before.is_none() && after.is_some();
        self.removed.member |= before.is_some() && after.is_none();
    }

    /// Adds what differs below an element.
    fn put(&mut self, element: impl Fn() -> Element, below: Self) {
        if !below.changed.is_empty() {
            self.changed.put(element(), below.changed);
        }
        if !below.removed.is_empty() {
            self.removed.put(element(), below.removed);
        }
    }
}

/// Compares two values of one node; either may be absent.
pub(crate) fn compare(node: &Node, before: Option<&Value>, after: Option<&Value>) -> Comparison {
    if before == after {
        return Comparison::default();
    }
    if is_hollow(before) && is_hollow(after) {
        return Comparison::leaf(before, after);
    }
    let mut comparison = match Shape::of(node) {
        Shape::Granular(keys) if is_object(before) && is_object(after) => {
            objects(keys, as_object(before), as_object(after))
        }
        Shape::Associative(list) if is_array(before) && is_array(after) => {
            lists(list, as_array(before), as_array(after))
        }
        _ => return Comparison::leaf(before, after),
    };
    comparison.mark(before, after);
    comparison
}

fn objects(
    keys: Keys<'_>,
    before: Option<&Map<String, Value>>,
    after: Option<&Map<String, Value>>,
) -> Comparison {
    let mut comparison = Comparison::default();
    for (key, old) in before.into_iter().flatten() {
        let new = after.and_then(|m| m.get(key));
        let below = compare(keys.node(key), Some(old), new);
        comparison.put(|| Element::Field(key.clone()), below);
    }
    for (key, new) in after.into_iter().flatten() {
        if before.is_none_or(|m| !m.contains_key(key)) {
            let below = compare(keys.node(key), None, Some(new));
            comparison.put(|| Element::Field(key.clone()), below);
        }
    }
    comparison
}

/// The items of both sides that share one path element; more than one on a side
/// only where a list broke its own rule before it was checked.
#[derive(Default)]
struct Pair<'a> {
    before: Vec<&'a Value>,
    after: Vec<&'a Value>,
}

fn lists(list: &List, before: &[Value], after: &[Value]) -> Comparison {
    let mut pairs: BTreeMap<Element, Pair<'_>> = BTreeMap::new();
    for item in before {
        if let Ok(element) = element(list, item) {
            pairs.entry(element).or_default().before.push(item);
        }
    }
    for item in after {
        if let Ok(element) = element(list, item) {
            pairs.entry(element).or_default().after.push(item);
        }
    }
    let mut comparison = Comparison::default();
    for (element, pair) in &pairs {
        comparison.put(|| element.clone(), items(&list.items, pair));
    }
    comparison
}

fn items(node: &Node, pair: &Pair<'_>) -> Comparison {
    if pair.before.len() <= 1 && pair.after.len() <= 1 {
        return compare(
            node,
            pair.before.first().copied(),
            pair.after.first().copied(),
        );
    }
    let mut comparison = Comparison::default();
    if pair.before != pair.after {
        comparison.mark(pair.before.first().copied(), pair.after.first().copied());
        comparison.changed.member |= !pair.before.is_empty() && !pair.after.is_empty();
    }
    comparison
}

fn is_object(value: Option<&Value>) -> bool {
    matches!(value, None | Some(Value::Null | Value::Object(_)))
}

fn is_array(value: Option<&Value>) -> bool {
    matches!(value, None | Some(Value::Null | Value::Array(_)))
}

fn as_object(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

fn as_array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
