//! The object that Kubernetes compares a new one with.

use schema::Node;
use serde_json::{Map, Value};

/// Fields that Go's types hold by value although they may be left out, so that
/// an empty object has them and nobody comes to own them as such.
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
            match &field.node {
                Node::Object(inner)
                    if !inner.is_atomic()
                        && (field.required || BY_VALUE.contains(&&*field.name)) =>
                {
                    empty.insert(field.name.to_string(), skeleton(&field.node));
                }
                Node::List(_) | Node::Map(_) if field.required => {
                    empty.insert(field.name.to_string(), Value::Null);
                }
                _ => {}
            }
        }
    }
    Value::Object(empty)
}
