//! The types expressions are checked against before anything runs.
//!
//! A type may carry how large its values can get ([`Type::Bounded`]): the checker ignores
//! that, the cost estimate is made from it.

mod schema;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What a value can be. `Dyn` is anything, decided when the expression runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// The type of a type: `type(x)`, `int`.
    Type,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    Object(Arc<Object>),
    Optional(Arc<Type>),
    /// A type that only functions look into: `kubernetes.Quantity`.
    Opaque(&'static str),
    /// A type whose values have at most so many elements or code points.
    Bounded(Arc<Type>, u64),
    /// Stands for any type, the same everywhere in one function's signature.
    Parameter(char),
}

/// An object whose fields are known; asking for another one is a compile error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// As error messages call it: `object`, `kubernetes.AdmissionRequest`.
    pub name: String,
    pub fields: BTreeMap<String, Type>,
}

impl Type {
    pub fn list(item: Type) -> Type {
        Type::List(Arc::new(item))
    }

    pub fn map(value: Type) -> Type {
        Type::Map(Arc::new(Type::String), Arc::new(value))
    }

    pub fn optional(inner: Type) -> Type {
        Type::Optional(Arc::new(inner))
    }

    pub fn object<'a>(name: &str, fields: impl IntoIterator<Item = (&'a str, Type)>) -> Type {
        let fields = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        Type::Object(Arc::new(Object {
            name: name.to_owned(),
            fields,
        }))
    }

    /// The same type with at most `max` elements or code points.
    pub fn at_most(self, max: u64) -> Type {
        match self {
            Type::Bounded(inner, _) => Type::Bounded(inner, max),
            other => Type::Bounded(Arc::new(other), max),
        }
    }

    /// The type without what is known of its size.
    pub fn plain(&self) -> &Type {
        match self {
            Type::Bounded(inner, _) => inner.plain(),
            other => other,
        }
    }

    /// The most elements or code points a value has, where that is known.
    pub(crate) fn bound(&self) -> Option<u64> {
        match self {
            Type::Bounded(_, max) => Some(*max),
            _ => None,
        }
    }

    /// Values whose handling costs the same whatever they are.
    pub(crate) fn is_scalar(&self) -> bool {
        matches!(
            self.plain(),
            Type::Bool
                | Type::Int
                | Type::Uint
                | Type::Double
                | Type::Null
                | Type::Timestamp
                | Type::Duration
                | Type::Type
        )
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Timestamp => f.write_str("timestamp"),
            Type::Duration => f.write_str("duration"),
            Type::Type => f.write_str("type"),
            Type::List(item) => write!(f, "list({item})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Object(object) => f.write_str(&object.name),
            Type::Optional(inner) => write!(f, "optional_type({inner})"),
            Type::Opaque(name) => f.write_str(name),
            Type::Bounded(inner, _) => inner.fmt(f),
            Type::Parameter(name) => write!(f, "<{name}>"),
        }
    }
}
