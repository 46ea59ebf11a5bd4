//! What an apply makes of the live object.

use std::collections::BTreeMap;

use schema::{List, Node};
use serde_json::{Map, Value};

use super::{Keys, Shape, element, is_hollow};
use crate::Element;

/// Merges `applied` into `live`: what is applied wins, the rest stays. `None`
/// when nothing is left.
pub(crate) fn merge(node: &Node, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    if is_hollow(live) && is_hollow(applied) {
        return applied.or(live).cloned();
    }
    match (Shape::of(node), live, applied) {
        (_, Some(live), None) => Some(live.clone()),
        (Shape::Granular(keys), Some(Value::Object(live)), Some(Value::Object(applied))) => {
            Some(Value::Object(objects(keys, live, applied)))
        }
        (Shape::Associative(list), Some(Value::Array(live)), Some(Value::Array(applied))) => {
            Some(Value::Array(lists(list, live, applied)))
        }
        // A null where fields are merged sets none.
        (
            Shape::Associative(_) | Shape::Granular(Keys::Struct(_) | Keys::Map(_)),
            live,
            Some(Value::Null),
        ) => live.cloned(),
        (_, _, applied) => applied.cloned(),
    }
}

fn objects(
    keys: Keys<'_>,
    live: &Map<String, Value>,
    applied: &Map<String, Value>,
) -> Map<String, Value> {
    let mut merged = Map::new();
    for (key, old) in live {
        if let Some(value) = merge(keys.node(key), Some(old), applied.get(key)) {
            merged.insert(key.clone(), value);
        }
    }
    for (key, new) in applied {
        if !live.contains_key(key) {
            merged.insert(key.clone(), new.clone());
        }
    }
    merged
}

/// Applied items come in their applied order; an item only the live list has
/// stays before the next shared item that it stood before.
fn lists(list: &List, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let live = indexed(list, live);
    let applied = indexed(list, applied);
    let of_live = lookup(&live);
    let of_applied = lookup(&applied);
    let mut shared = applied
        .iter()
        .map(|(e, _)| e)
        .filter(|e| of_live.contains_key(e));
    let mut next_shared = shared.next();
    let mut merged = Vec::with_capacity(live.len().max(applied.len()));
    let mut done: Vec<&Element> = Vec::new();
    let take_applied = |element, done: &mut Vec<_>, merged: &mut Vec<Value>| {
        done.push(element);
        let (old, new) = (
            of_live.get(element).copied(),
            of_applied.get(element).copied(),
        );
        merged.extend(merge(&list.items, old, new));
    };
    let (mut left, mut right) = (live.iter().peekable(), applied.iter().peekable());
    loop {
        if let (Some((old, _)), Some((new, _))) = (left.peek(), right.peek()) {
            if old == new {
                take_applied(new, &mut done, &mut merged);
                left.next();
                right.next();
                next_shared = shared.next();
                continue;
            }
            // It is shared and its turn is later: it comes with the applied items.
            if of_applied.contains_key(old) && next_shared.is_some_and(|s| s != old) {
                left.next();
                continue;
            }
        }
        if let Some((old, item)) = left.peek() {
            if !of_applied.contains_key(old) {
                merged.push((*item).clone());
                left.next();
                continue;
            }
            if done.contains(&old) {
                left.next();
            }
        }
        match right.next() {
            Some((new, _)) => {
                take_applied(new, &mut done, &mut merged);
                if next_shared == Some(new) {
                    next_shared = shared.next();
                }
            }
            None if left.peek().is_none() => return merged,
            None => {}
        }
    }
}

fn indexed<'a>(list: &List, items: &'a [Value]) -> Vec<(Element, &'a Value)> {
    let with_element = |item: &'a Value| Some((element(list, item).ok()?, item));
    items.iter().filter_map(with_element).collect()
}

/// The items by element; of two with one element the first.
fn lookup<'a>(items: &'a [(Element, &'a Value)]) -> BTreeMap<&'a Element, &'a Value> {
    items.iter().rev().map(|(e, v)| (e, *v)).collect()
}
