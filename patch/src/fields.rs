//! Sets of field paths, and their `fieldsV1` encoding.

use std::collections::BTreeMap;

use serde_json::Value;

/// A set of paths into an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// The path to here is itself in the set.
    pub(crate) member: bool,
    pub(crate) children: BTreeMap<Element, FieldSet>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// `f:`, a field or map key.
    Field(String),
    /// `k:`, an item of a list by its keys, as canonical JSON.
    Key(String),
    /// `v:`, an item of a set, as canonical JSON.
    Value(String),
    /// `i:`, an item by position.
    Index(i64),
}

impl FieldSet {
    /// Reads `fieldsV1`; `None` if it is malformed.
    pub fn decode(fields: &Value) -> Option<Self> {
        let _ = fields;
        todo!()
    }

    pub fn encode(&self) -> Value {
        todo!()
    }
}
