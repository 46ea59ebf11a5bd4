//! Merging part of an object into it as server-side apply does, without owners: what a
//! MutatingAdmissionPolicy's apply configuration does.

use schema::Node;
use serde_json::Value;

use crate::Error;
use crate::typed::{self, Shape};

/// Merges `applied` into `live`.
///
/// # Errors
/// [`Error::Unprocessable`] when `applied` holds a list, map or struct that is owned as a
/// whole: merging it would replace what others put there.
pub fn configure(node: &Node, live: &Value, applied: &Value) -> Result<Value, Error> {
    check(node, applied, "")?;
    Ok(typed::merge(node, Some(live), Some(applied)).unwrap_or(Value::Null))
}

fn check(node: &Node, applied: &Value, path: &str) -> Result<(), Error> {
    match (Shape::of(node), applied) {
        (Shape::Leaf, Value::Object(_) | Value::Array(_)) => Err(Error::Unprocessable(format!(
            "{path}: may not mutate atomic arrays, maps or structs"
        ))),
        (Shape::Granular(keys), Value::Object(fields)) => {
            let mut fields = fields.iter();
            fields
                .try_for_each(|(key, value)| check(keys.node(key), value, &format!("{path}.{key}")))
        }
        (Shape::Associative(list), Value::Array(items)) => {
            let mut items = items.iter();
            items.try_for_each(|item| check(&list.items, item, &format!("{path}[]")))
        }
        _ => Ok(()),
    }
}
