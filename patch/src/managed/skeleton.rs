//! The object that Kubernetes compares a new one with.

use schema::{Field, Node};
use serde_json::{Map, Value};

/// Fields that Go's types hold by value although they may be left out, so that
/// an empty object has them and nobody comes to own them as such. Objects of custom
/// kinds are no Go types: theirs have no name.
const BY_VALUE: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "template",
    "strategy",
    "updateStrategy",
    "jobTemplate",
];

/// An empty object of a kind, as far as it shows in who owns what.
pub(crate) fn skeleton(node: &Node) -> Value {
    let mut empty = Map::new();
    if let Node::Object(object) = node {
        for field in object.fields() {
            let value = match held(field) {
                Some(Held::Object) => skeleton(&field.node),
                Some(Held::Null) => Value::Null,
                None => continue,
            };
            empty.insert(field.name.to_string(), value);
        }
    }
    Value::Object(empty)
}

/// What an empty object has of a field that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// An empty object in its turn.
    Object,
    Null,
}

/// `None` for a field that the empty object lacks.
pub(super) fn held(field: &Field) -> Option<Held> {
    match &field.node {
        Node::Object(inner)
            if !inner.is_atomic()
                && !inner.name().is_empty()
                && (field.required || BY_VALUE.contains(&&*field.name)) =>
        {
            Some(Held::Object)
        }
        Node::List(_) | Node::Map(_) if field.required => Some(Held::Null),
        _ => None,
    }
}
