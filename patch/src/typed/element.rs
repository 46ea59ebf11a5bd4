//! What an item of a list is called in a path.

use schema::{List, ListKey, ListKind};
use serde_json::{Map, Value};

use crate::Element;

/// The path element of a list item.
pub(crate) fn element(list: &List, item: &Value) -> Result<Element, String> {
    match (&list.kind, item) {
        (ListKind::Map(keys), Value::Object(item)) => Ok(Element::Key(key_text(keys, item)?)),
        (ListKind::Map(_), _) => {
            Err("associative list with keys may not have non-map elements".to_owned())
        }
        (ListKind::Set | ListKind::Atomic, item) => match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => {
                Err("not supported: associative list with lists as elements".to_owned())
            }
            Value::Null => Err(
                "associative list without keys has an element that's an explicit null".to_owned(),
            ),
            scalar => Ok(Element::Value(scalar.to_string())),
        },
    }
}

/// The item's keys as canonical JSON: `{"containerPort":80,"protocol":"TCP"}`.
fn key_text(keys: &[ListKey], item: &Map<String, Value>) -> Result<String, String> {
    const INFALLIBLE: &str = "memory takes all bytes, and the keys of an object are text";
    let mut pairs = Vec::with_capacity(keys.len());
    for key in keys {
        pairs.push((&*key.name, value_of(key, item)?));
    }
    pairs.sort_by_key(|(name, _)| *name);
    let mut text = Vec::with_capacity(64);
    for (name, value) in &pairs {
        text.push(if text.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut text, name).expect(INFALLIBLE);
        text.push(b':');
        serde_json::to_writer(&mut text, value).expect(INFALLIBLE);
    }
    text.push(b'}');
    Ok(String::from_utf8(text).expect("JSON is text"))
}

/// The value that an item has of a key of its list.
fn value_of<'a>(key: &'a ListKey, item: &'a Map<String, Value>) -> Result<&'a Value, String> {
    match (item.get(&*key.name), &key.default) {
        (Some(value), _) if !value.is_null() => Ok(value),
        (_, Some(default)) => Ok(default),
        _ => Err(format!(
            "associative list with keys has an element that omits key field {:?} (and doesn't have default value)",
            key.name
        )),
    }
}
