//! A value together with where it stands, so that a rule can read and report in one word.
//!
//! Rules ask for many fields of which an object has few: a [`Sketch`] answers most of these
//! questions, and is at hand from when the node is made.

mod sketch;

use apimachinery::field::Path;
use apimachinery::meta;
use serde_json::{Map, Value};

use sketch::Sketch;

static NULL: Value = Value::Null;

/// A place in an object. Absent fields are nodes too: they read as null.
#[derive(Clone, Copy, Debug)]
pub struct Node<'v, 'p> {
    pub value: &'v Value,
    pub path: Path<'p>,
    /// Of the fields of `value`.
    sketch: Sketch,
}

impl<'v, 'p> Node<'v, 'p> {
    pub fn new(value: &'v Value, path: Path<'p>) -> Self {
        Node {
            value,
            path,
            sketch: Sketch::of(value),
        }
    }

    pub fn root(object: &'v Value) -> Self {
        Node::new(object, Path::ROOT)
    }

    /// The field below; `field` may hold dots to go down several at once.
    ///
    /// Always inlined: whether the sketch lacks a constant name is one instruction.
    #[inline(always)]
    pub fn at<'b>(&'b self, field: &'b str) -> Node<'v, 'b> {
        let path = self.path.child(field);
        if self.sketch.lacks(field) {
            return Node {
                value: &NULL,
                path,
                sketch: Sketch::EMPTY,
            };
        }
        Node::new(meta::get(self.value, field).unwrap_or(&NULL), path)
    }

    /// Those of the named fields that are there, in the order of the names; no dots here.
    pub fn present<'b, 'n: 'b>(
        &'b self,
        names: &'n [&'n str],
    ) -> impl Iterator<Item = (&'n str, Node<'v, 'b>)> {
        let maybe = names.iter().filter(|name| !self.sketch.lacks_field(name));
        let fields = maybe.map(|name| (*name, self.at(name)));
        fields.filter(|(_, field)| field.exists())
    }

    /// The items of a list, none if it is absent.
    pub fn items<'b>(&'b self) -> impl Iterator<Item = Node<'v, 'b>> {
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        let node = |(index, value)| Node::new(value, self.path.index(index));
        items.iter().enumerate().map(node)
    }

    /// The pairs of a map, sorted by key, none if it is absent.
    pub fn entries<'b>(&'b self) -> impl Iterator<Item = (&'v str, Node<'v, 'b>)>
    where
        'v: 'b,
    {
        self.map()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), Node::new(value, self.path.key(key))))
    }

    pub fn map(&self) -> Option<&'v Map<String, Value>> {
        self.value.as_object()
    }

    /// The text here, empty if absent.
    pub fn text(&self) -> &'v str {
        self.value.as_str().unwrap_or("")
    }

    pub fn int(&self) -> Option<i64> {
        self.value.as_i64()
    }

    pub fn is_true(&self) -> bool {
        self.value.as_bool().unwrap_or(false)
    }

    pub fn exists(&self) -> bool {
        !self.value.is_null()
    }

    pub fn len(&self) -> usize {
        match self.value {
            Value::Array(items) => items.len(),
            Value::Object(fields) => fields.len(),
            Value::String(text) => text.len(),
            _ => 0,
        }
    }

    /// Absent, or text, list or map without content.
    pub fn is_empty(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::String(_) | Value::Array(_) | Value::Object(_) => self.len() == 0,
            _ => false,
        }
    }
}
