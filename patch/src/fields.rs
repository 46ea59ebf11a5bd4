//! Sets of field paths, and their `fieldsV1` encoding.

mod element;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};

pub use element::Element;

/// A set of paths into an object. A tree: each element leads to the set of paths
/// below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// The path that leads here is itself in the set.
    pub(crate) member: bool,
    pub(crate) children: BTreeMap<Element, FieldSet>,
}

/// No schema nests deeper; a hostile `fieldsV1` might.
const MAX_DEPTH: usize = 64;

impl FieldSet {
    /// The set of nothing but the path that leads to it.
    pub(crate) fn leaf() -> Self {
        Self {
            member: true,
            children: BTreeMap::new(),
        }
    }

    /// The set of these paths of field names.
    pub fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let end = path.iter().fold(&mut set, |set, name| {
                set.children
                    .entry(Element::Field((*name).to_owned()))
                    .or_default()
            });
            end.member = true;
        }
        set
    }

    pub fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    pub(crate) fn child(&self, element: &Element) -> Option<&Self> {
        self.children.get(element)
    }

    /// Adds a set below an element; an empty one adds nothing.
    pub(crate) fn put(&mut self, element: Element, set: Self) {
        if set.is_empty() {
            return;
        }
        match self.children.entry(element) {
            Entry::Vacant(entry) => {
                entry.insert(set);
            }
            Entry::Occupied(mut entry) => entry.get_mut().extend(set),
        }
    }

    /// Adds every path of `other`.
    pub(crate) fn extend(&mut self, other: Self) {
        self.member |= other.member;
        for (element, set) in other.children {
            self.put(element, set);
        }
    }

    /// Takes out every path that `other` holds.
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        self.children.retain(|element, set| {
            if let Some(other) = other.child(element) {
                set.subtract(other);
            }
            !set.is_empty()
        });
    }

    /// Takes out every path that `other` holds, and everything below each.
    pub(crate) fn subtract_below(&mut self, other: &Self) {
        self.children.retain(|element, set| {
            let Some(other) = other.child(element) else {
                return true;
            };
            if other.member {
                return false;
            }
            set.subtract_below(other);
            !set.is_empty()
        });
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            member: self.member && other.member,
            children: BTreeMap::new(),
        };
        for (element, set) in &self.children {
            if let Some(other) = other.child(element) {
                both.put(element.clone(), set.intersection(other));
            }
        }
        both
    }

    /// Every path, as Kubernetes prints it; at each level the paths that end
    /// there come first.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        let ends = self.children.iter().filter(|(_, set)| set.member);
        paths.extend(ends.map(|(element, _)| format!("{prefix}{element}")));
        for (element, set) in &self.children {
            if !set.children.is_empty() {
                set.collect_paths(&format!("{prefix}{element}"), paths);
            }
        }
    }

    /// Reads `fieldsV1`; `None` if it is malformed.
    pub fn decode(fields: &Value) -> Option<Self> {
        let mut set = Self::decode_at(fields, 0)?;
        // The empty path is no field.
        set.member = false;
        Some(set)
    }

    fn decode_at(fields: &Value, depth: usize) -> Option<Self> {
        let fields = fields.as_object().filter(|_| depth < MAX_DEPTH)?;
        if fields.is_empty() {
            return Some(Self::leaf());
        }
        let mut set = Self::default();
        for (key, below) in fields {
            if key == "." {
                set.member = true;
            } else {
                set.put(Element::decode(key)?, Self::decode_at(below, depth + 1)?);
            }
        }
        Some(set)
    }

    /// Whether `fields` is what [`FieldSet::encode`] makes of what it says.
    pub(crate) fn is_encoding(fields: &Value) -> bool {
        let Value::Object(top) = fields else {
            return false;
        };
        // The empty path is no field.
        !top.contains_key(".") && is_encoding_at(top, 0)
    }

    /// Whether this set has a path that the one written as `fields` has, too.
    pub(crate) fn meets(&self, fields: &Value) -> bool {
        let Value::Object(fields) = fields else {
            return false;
        };
        if self.member && (fields.is_empty() || fields.contains_key(".")) {
            return true;
        }
        self.children.iter().any(|(element, set)| {
            let below = fields.get(&element.encode());
            below.is_some_and(|below| set.meets(below))
        })
    }

    /// Writes `fieldsV1`.
    pub fn encode(&self) -> Value {
        let is_both = self.member && !self.children.is_empty();
        let own = is_both.then(|| (".".to_owned(), Value::Object(Map::new())));
        let below = self.children.iter();
        let below = below.map(|(element, set)| (element.encode(), set.encode()));
        Value::Object(own.into_iter().chain(below).collect())
    }
}

fn is_encoding_at(fields: &Map<String, Value>, depth: usize) -> bool {
    if depth == MAX_DEPTH || (fields.len() == 1 && fields.contains_key(".")) {
        return false;
    }
    fields.iter().all(|(key, below)| match below {
        Value::Object(below) if key == "." => below.is_empty(),
        Value::Object(below) => Element::is_encoding(key) && is_encoding_at(below, depth + 1),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
