//! Strategic merge patch: a merge patch that knows which lists merge, and by
//! what key, and takes directives.
//!
//! | directive | where | does |
//! |---|---|---|
//! | `$patch: replace` | object, list item | replaces the object, the whole list |
//! | `$patch: delete` | object, list item | empties the object, deletes the item |
//! | `$retainKeys: [..]` | object | drops the fields it does not name |
//! | `$deleteFromPrimitiveList/f: [..]` | beside list `f` | removes these items |
//! | `$setElementOrder/f: [..]` | beside list `f` | puts items in this order |

mod list;
mod order;

use apimachinery::meta;
use schema::{Field, Node};
use serde_json::{Map, Value};

use crate::Error;
use crate::json::body;
pub(crate) use list::go_map;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

type Object = Map<String, Value>;

/// Applies a strategic merge patch, given as the request's body, to an object
/// that `node` describes.
///
/// # Errors
/// [`Error::Malformed`] for a body or directive of the wrong form,
/// [`Error::Internal`] for a list item without its merge key.
pub fn strategic(doc: &Value, patch: &[u8], node: &Node) -> Result<Value, Error> {
    let patch = match body(patch)? {
        Value::Object(patch) => patch,
        other => {
            return Err(Error::Malformed(format!(
                "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                meta::json_type(&other)
            )));
        }
    };
    let original = match doc {
        Value::Object(map) => map.clone(),
        _ => Object::new(),
    };
    merge_object(original, patch, Some(node)).map(Value::Object)
}

/// A patch as Go prints the map that it reads it into, which is how Kubernetes shows it.
pub fn go_text(patch: &[u8]) -> String {
    body(patch).map_or_else(|error| error.to_string(), |value| go_map(&value))
}

/// What is known of the value under a key: its node, and its field in a struct.
#[derive(Clone, Copy)]
struct Place<'a> {
    node: Option<&'a Node>,
    field: Option<&'a Field>,
}

impl<'a> Place<'a> {
    fn of(parent: Option<&'a Node>, key: &str) -> Self {
        let field = match parent {
            Some(Node::Object(object)) => object.field(key),
            _ => None,
        };
        let node = match (field, parent) {
            (Some(field), _) => Some(&field.node),
            (None, Some(Node::Map(map))) => Some(&map.values),
            _ => None,
        };
        Self { node, field }
    }

    fn merges(self) -> bool {
        self.field.is_some_and(|f| f.strategy.merge)
    }

    fn replaces(self) -> bool {
        self.field.is_some_and(|f| f.strategy.replace)
    }

    fn items(self) -> Option<&'a Node> {
        match self.node {
            Some(Node::List(list)) => Some(&list.items),
            _ => None,
        }
    }

    fn merge_key(self) -> Option<&'a str> {
        match self.node {
            Some(Node::List(list)) => list.merge_key.as_deref(),
            _ => None,
        }
    }
}

fn merge_object(
    mut original: Object,
    mut patch: Object,
    node: Option<&Node>,
) -> Result<Object, Error> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Object::new()),
            _ => Err(Error::Internal(format!(
                "unknown patch type found: {}",
                plain(&directive)
            ))),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order::apply(&mut original, &mut patch, node)?;
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM) {
            delete_from_primitive_list(&mut original, list, &value)?;
        } else if let Some(merged) =
            merge_value(original.remove(&key), value, Place::of(node, &key))?
        {
            original.insert(key, merged);
        }
    }
    Ok(original)
}

/// `None` when the patch removes the value.
fn merge_value(
    original: Option<Value>,
    patch: Value,
    place: Place<'_>,
) -> Result<Option<Value>, Error> {
    match (original, patch) {
        (_, Value::Null) => Ok(None),
        (Some(Value::Object(original)), Value::Object(patch)) if !place.replaces() => {
            merge_object(original, patch, place.node).map(|o| Some(Value::Object(o)))
        }
        (Some(Value::Array(original)), Value::Array(patch)) if place.merges() => {
            list::merge(original, patch, place).map(|l| Some(Value::Array(l)))
        }
        (_, patch) => Ok(without_directives(patch)),
    }
}

/// A value that takes nobody's place: its directives have nothing to act on.
/// `None` for one that says it is to be deleted.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(mut map) => {
            if map.get(PATCH).is_some_and(|d| d == "delete") {
                return None;
            }
            map.retain(|key, value| !value.is_null() && !is_directive(key));
            let kept = map.into_iter();
            let map = kept.filter_map(|(k, v)| Some((k, without_directives(v)?)));
            Some(Value::Object(map.collect()))
        }
        Value::Array(items) => {
            let is_marker = |v: &Value| {
                v.as_object()
                    .is_some_and(|o| o.len() == 1 && o.contains_key(PATCH))
            };
            let items = items.into_iter().filter(|v| !is_marker(v));
            Some(Value::Array(items.filter_map(without_directives).collect()))
        }
        other => Some(other),
    }
}

fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN_KEYS || key.starts_with(DELETE_FROM) || key.starts_with(SET_ORDER)
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), Error> {
    let malformed = || Error::Malformed("invalid patch format of retainKeys".to_owned());
    let Some(directive) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let keys = directive.as_array().ok_or_else(malformed)?;
    let named = |key: &str| keys.iter().any(|k| k == key);
    let set = patch
        .iter()
        .filter(|(k, v)| !v.is_null() && !is_directive(k));
    if !set.into_iter().all(|(key, _)| named(key)) {
        return Err(malformed());
    }
    original.retain(|key, _| named(key));
    Ok(())
}

fn delete_from_primitive_list(
    original: &mut Object,
    key: &str,
    delete: &Value,
) -> Result<(), Error> {
    let Value::Array(delete) = delete else {
        return Err(Error::Malformed(
            "invalid patch format of primitive list".to_owned(),
        ));
    };
    if let Some(Value::Array(items)) = original.get_mut(key) {
        items.retain(|item| !delete.contains(item));
    }
    Ok(())
}

/// Go's `%v` of a scalar.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
