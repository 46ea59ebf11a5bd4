//! A value together with where it stands, so that a rule can read and report in one word.

use apimachinery::field::Path;
use apimachinery::meta;
use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// A place in an object. Absent fields are nodes too: they read as null.
#[derive(Clone, Copy, Debug)]
pub struct Node<'v, 'p> {
    pub value: &'v Value,
    pub path: Path<'p>,
}

impl<'v, 'p> Node<'v, 'p> {
    pub fn root(object: &'v Value) -> Self {
        Node {
            value: object,
            path: Path::ROOT,
        }
    }

    /// The field below; `field` may hold dots to go down several at once.
    pub fn at<'b>(&'b self, field: &'b str) -> Node<'v, 'b> {
        Node {
            value: meta::get(self.value, field).unwrap_or(&NULL),
            path: self.path.child(field),
        }
    }

    /// The items of a list, none if it is absent.
    pub fn items<'b>(&'b self) -> impl Iterator<Item = Node<'v, 'b>> {
        let items = self.value.as_array().map_or(&[][..], Vec::as_slice);
        items.iter().enumerate().map(|(index, value)| Node {
            value,
            path: self.path.index(index),
        })
    }

    /// The pairs of a map, sorted by key, none if it is absent.
    pub fn entries<'b>(&'b self) -> impl Iterator<Item = (&'v str, Node<'v, 'b>)>
    where
        'v: 'b,
    {
        self.map().into_iter().flatten().map(|(key, value)| {
            let path = self.path.key(key);
            (key.as_str(), Node { value, path })
        })
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
