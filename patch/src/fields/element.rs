//! One step of a path.

use std::fmt;

use serde_json::Value;

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

impl Element {
    pub(super) fn decode(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            // Read and written again, so that equal values have equal text.
            "k" => canonical(rest).filter(Value::is_object).map(Self::key),
            "v" => canonical(rest).map(|value| Self::Value(value.to_string())),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    /// Whether `text` is as [`Element::encode`] writes it.
    pub(super) fn is_encoding(text: &str) -> bool {
        text.starts_with("f:") || Self::decode(text).is_some_and(|element| element.encode() == text)
    }

    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Field(name) => Self::encoded('f', name),
            Self::Key(keys) => Self::encoded('k', keys),
            Self::Value(value) => Self::encoded('v', value),
            Self::Index(at) => Self::encoded('i', &at.to_string()),
        }
    }

    /// The text of an element of a kind: `f:spec`.
    pub(crate) fn encoded(kind: char, text: &str) -> String {
        let mut encoded = String::with_capacity(text.len() + 2);
        encoded.push(kind);
        encoded.push(':');
        encoded.push_str(text);
        encoded
    }

    /// The element of a list item with these keys, an object of scalars.
    pub(crate) fn key(keys: Value) -> Self {
        let Value::Object(mut map) = keys else {
            return Self::Key(keys.to_string());
        };
        map.sort_keys();
        Self::Key(Value::Object(map).to_string())
    }
}

fn canonical(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok()
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(at) => write!(f, "[{at}]"),
            Self::Key(keys) => {
                let keys = canonical(keys);
                let keys = keys.as_ref().and_then(Value::as_object);
                let pairs: Vec<_> = keys
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                write!(f, "[{}]", pairs.join(","))
            }
        }
    }
}
