//! The order of a merged list.

use schema::Node;
use serde_json::Value;

use super::list::{self, go_map, key_of};
use super::{Object, Place, SET_ORDER, merge_value};
use crate::Error;

/// Merges and orders every list that the patch has a `$setElementOrder` for, and
/// takes both out of the patch.
pub(super) fn apply(
    original: &mut Object,
    patch: &mut Object,
    node: Option<&Node>,
) -> Result<(), Error> {
    let ordered: Vec<String> = patch
        .keys()
        .filter_map(|k| k.strip_prefix(SET_ORDER))
        .map(str::to_owned)
        .collect();
    for name in ordered {
        let directive = patch.remove(&format!("{SET_ORDER}{name}"));
        let Some(Value::Array(order)) = directive else {
            return Err(malformed());
        };
        let place = Place::of(node, &name);
        let change = patch.remove(&name);
        check(change.as_ref(), &order, &name, place)?;
        let before = original.remove(&name);
        let after = match (before.clone(), change) {
            (before, None) => before,
            (before, Some(change)) => merge_value(before, change, place)?,
        };
        let Some(after) = after else { continue };
        let before = before.as_ref().and_then(Value::as_array);
        let after = match after {
            Value::Array(items) => {
                let before = before.map_or(&[][..], Vec::as_slice);
                Value::Array(arrange(items, &order, before, place.merge_key()))
            }
            other => other,
        };
        original.insert(name, after);
    }
    Ok(())
}

/// The patch's items must stand in the order that the directive gives.
fn check(
    change: Option<&Value>,
    order: &[Value],
    name: &str,
    place: Place<'_>,
) -> Result<(), Error> {
    let Some(Value::Array(items)) = change else {
        return Ok(());
    };
    let key = place.merge_key();
    let mut rest = order.iter();
    for item in items {
        let Value::Object(map) = item else {
            if !rest.any(|o| o == item) {
                return Err(out_of_order(items, order, name));
            }
            continue;
        };
        if map.contains_key(super::PATCH) {
            continue;
        }
        let key = key.ok_or_else(malformed)?;
        key_of(item, key)?;
        if !rest.any(|o| is_same(o, item, Some(key))) {
            return Err(out_of_order(items, order, name));
        }
    }
    Ok(())
}

fn out_of_order(items: &[Value], order: &[Value], name: &str) -> Error {
    Error::Internal(format!(
        "The order in patch list:\n{}\n doesn't match {SET_ORDER}{name} list:\n{}\n",
        list::go_map(&Value::Array(items.to_vec())),
        go_map(&Value::Array(order.to_vec())),
    ))
}

fn malformed() -> Error {
    Error::Malformed("invalid patch format of setElementOrder list".to_owned())
}

/// Puts `items` in order: those that `order` names as it names them, the others
/// as in `before`; between the two sorts an item that both `before`s knew keeps
/// its place relative to its neighbours, and a new one goes first.
pub(super) fn arrange(
    items: Vec<Value>,
    order: &[Value],
    before: &[Value],
    key: Option<&str>,
) -> Vec<Value> {
    let position = |list: &[Value], item: &Value| list.iter().position(|o| is_same(o, item, key));
    let mut named = Vec::new();
    let mut others = Vec::new();
    for item in items {
        match position(order, &item) {
            Some(at) => named.push((at, item)),
            None => others.push((position(before, &item), item)),
        }
    }
    named.sort_by_key(|(at, _)| *at);
    others.sort_by_key(|(at, _)| *at);
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().map(|(_, item)| item).peekable();
    let mut others = others.into_iter().peekable();
    while let (Some(name), Some((at, _))) = (named.peek(), others.peek()) {
        let other_first = match (*at, position(before, name)) {
            (Some(other), Some(name)) => other < name,
            _ => false,
        };
        if other_first {
            arranged.extend(others.next().map(|(_, item)| item));
        } else {
            arranged.extend(named.next());
        }
    }
    arranged.extend(named);
    arranged.extend(others.map(|(_, item)| item));
    arranged
}

fn is_same(a: &Value, b: &Value, key: Option<&str>) -> bool {
    match (key, a, b) {
        (Some(key), Value::Object(a), Value::Object(b)) => {
            a.contains_key(key) && a.get(key) == b.get(key)
        }
        _ => a == b,
    }
}
