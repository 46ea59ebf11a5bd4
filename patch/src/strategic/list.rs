//! Merging of two lists.

use serde_json::Value;

use super::{Object, PATCH, Place, merge_object, order, plain, without_directives};
use crate::Error;

/// Merges `patch` into `original` and orders the result: what the patch names in
/// the patch's order, everything else where it was.
pub(super) fn merge(
    original: Vec<Value>,
    patch: Vec<Value>,
    place: Place<'_>,
) -> Result<Vec<Value>, Error> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if !is_of_objects(&original, &patch)? {
        let merged = union(&original, &patch);
        return Ok(order::arrange(merged, &patch, &original, None));
    }
    let key = place.merge_key().ok_or_else(|| no_declared_key(place))?;
    let Directed { original, patch } = apply_directives(original, patch, key)?;
    let mut merged = original.clone();
    for item in &patch {
        merge_item(&mut merged, item, key, place)?;
    }
    Ok(order::arrange(merged, &patch, &original, Some(key)))
}

fn merge_item(
    merged: &mut Vec<Value>,
    item: &Value,
    key: &str,
    place: Place<'_>,
) -> Result<(), Error> {
    let wanted = key_of(item, key)?;
    let mut found = None;
    for (at, candidate) in merged.iter().enumerate() {
        if key_of(candidate, key)? == wanted {
            found = Some(at);
            break;
        }
    }
    match (found, item) {
        (Some(at), Value::Object(patch)) => {
            let original = match merged[at].take() {
                Value::Object(map) => map,
                _ => Object::new(),
            };
            merged[at] = Value::Object(merge_object(original, patch.clone(), place.items())?);
        }
        _ => merged.extend(without_directives(item.clone())),
    }
    Ok(())
}

/// The lists after the patch's `$patch` items had their effect.
struct Directed {
    original: Vec<Value>,
    patch: Vec<Value>,
}

fn apply_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<Directed, Error> {
    let mut plain_items = Vec::with_capacity(patch.len());
    let mut replace = false;
    for item in patch {
        match item.get(PATCH) {
            None => plain_items.push(item),
            Some(Value::String(d)) if d == "replace" => replace = true,
            Some(Value::String(d)) if d == "delete" => {
                let gone = key_of(&item, key)?;
                original.retain(|candidate| candidate.get(key) != Some(gone));
            }
            Some(Value::String(d)) if d == "merge" => {
                let mut item = item.clone();
                if let Value::Object(map) = &mut item {
                    map.remove(PATCH);
                }
                plain_items.push(item);
            }
            Some(other) => {
                return Err(Error::Internal(format!(
                    "unknown patch type found: {}",
                    plain(other)
                )));
            }
        }
    }
    if replace {
        let original = plain_items.into_iter().filter_map(without_directives);
        return Ok(Directed {
            original: original.collect(),
            patch: Vec::new(),
        });
    }
    Ok(Directed {
        original,
        patch: plain_items,
    })
}

/// Whether the lists hold objects rather than scalars; they must agree.
fn is_of_objects(original: &[Value], patch: &[Value]) -> Result<bool, Error> {
    let mut all = original.iter().chain(patch);
    let first = all.next().is_some_and(Value::is_object);
    if original.iter().chain(patch).any(Value::is_array) {
        return Err(Error::Unprocessable(
            "lists of lists are not supported".to_owned(),
        ));
    }
    match all.find(|v| v.is_object() != first) {
        None => Ok(first),
        Some(_) => Err(Error::Internal(
            "list element types are not identical".to_owned(),
        )),
    }
}

/// All items, each once, in order of first appearance.
fn union(original: &[Value], patch: &[Value]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::with_capacity(original.len() + patch.len());
    for item in original.iter().chain(patch) {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    merged
}

pub(super) fn key_of<'a>(item: &'a Value, key: &str) -> Result<&'a Value, Error> {
    item.get(key).ok_or_else(|| {
        Error::Internal(format!(
            "map: {} does not contain declared merge key: {key}",
            go_map(item)
        ))
    })
}

fn no_declared_key(place: Place<'_>) -> Error {
    let name = place.field.map_or("", |f| &f.name);
    Error::Internal(format!("cannot merge lists without merge key for {name}"))
}

/// An object as Go prints a map: `map[a:1 b:x]`.
pub(crate) fn go_map(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map
                .iter()
                .map(|(k, v)| format!("{k}:{}", go_map(v)))
                .collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(go_map).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Null => "<nil>".to_owned(),
        scalar => plain(scalar),
    }
}
