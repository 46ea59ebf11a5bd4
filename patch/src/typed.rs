//! Values seen through their schema, as server-side apply sees them: which
//! fields they have, how two differ, and how they merge.

mod compare;
mod element;
mod field_set;
mod merge;
mod remove;
mod validate;

use schema::{List, ListKind, Node};
use serde_json::Value;

pub(crate) use compare::{Comparison, compare};
pub(crate) use element::element;
pub(crate) use field_set::{field_set, with_named_fields};
pub(crate) use merge::merge;
pub(crate) use remove::remove;
pub(crate) use validate::validate;

/// How a node's values are owned.
pub(crate) enum Shape<'a> {
    /// As a whole.
    Leaf,
    /// Key by key.
    Granular(Keys<'a>),
    /// Item by item.
    Associative(&'a List),
}

/// Where the nodes of an object's values come from.
#[derive(Clone, Copy)]
pub(crate) enum Keys<'a> {
    Struct(&'a schema::Object),
    Map(&'a Node),
    /// JSON without a schema.
    Untyped,
}

impl<'a> Shape<'a> {
    pub(crate) fn of(node: &'a Node) -> Self {
        match node {
            Node::Object(object) if !object.is_atomic() => Self::Granular(Keys::Struct(object)),
            Node::Map(map) if !map.atomic => Self::Granular(Keys::Map(&map.values)),
            Node::RawObject | Node::Any => Self::Granular(Keys::Untyped),
            Node::List(list) if list.kind != ListKind::Atomic => Self::Associative(list),
            _ => Self::Leaf,
        }
    }
}

impl<'a> Keys<'a> {
    /// The node below a key. Keys that a struct lacks are opaque.
    pub(crate) fn node(self, key: &str) -> &'a Node {
        match self {
            Self::Struct(object) => object.field(key).map_or(&Node::Any, |f| &f.node),
            Self::Map(values) => values,
            Self::Untyped => &Node::Any,
        }
    }

    /// The key is a field of a struct rather than an entry of a map.
    fn names(self, key: &str) -> bool {
        matches!(self, Self::Struct(object) if object.field(key).is_some())
    }
}

/// Null, `{}` and `[]` are owned as a whole: there is nothing below them.
pub(crate) fn is_hollow(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests;
