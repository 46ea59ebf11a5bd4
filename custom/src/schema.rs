//! A version's schema, compiled from the definition once a generation.

mod compile;
mod node;
mod pattern;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use node::metadata;
use regex::Regex;
use serde_json::{Number, Value};

use crate::rules::Rules;

/// What a value at one place may be, what is filled in there, and what is kept.
#[derive(Debug, Default)]
pub struct Schema {
    /// None: any.
    pub kind: Option<Kind>,
    /// `x-kubernetes-int-or-string`.
    pub is_int_or_string: bool,
    pub is_nullable: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<Box<str>, Schema>,
    pub additional: Additional,
    pub items: Option<Box<Schema>>,
    /// `x-kubernetes-preserve-unknown-fields`.
    pub keeps_unknown: bool,
    /// `x-kubernetes-embedded-resource`: an object with kind and metadata of its own.
    pub is_embedded: bool,
    pub list: ListType,
    /// `x-kubernetes-map-type: atomic`.
    pub is_atomic: bool,
    pub checks: Checks,
    /// `x-kubernetes-validations`.
    pub rules: Option<Arc<Rules>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

/// Fields that no property names.
#[derive(Debug, Default)]
pub enum Additional {
    /// Pruned, unless kept by `x-kubernetes-preserve-unknown-fields`.
    #[default]
    Unsaid,
    Anything,
    Nothing,
    Of(Box<Schema>),
}

#[derive(Debug, Default)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    Map(Vec<Box<str>>),
}

/// Constraints on the value itself.
#[derive(Debug, Default)]
pub struct Checks {
    pub format: Option<Format>,
    pub choices: Option<Vec<Value>>,
    pub pattern: Option<Pattern>,
    pub min_length: Option<u64>,
    pub max_length: Option<u64>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiple_of: Option<Number>,
    pub min_items: Option<u64>,
    pub max_items: Option<u64>,
    pub min_properties: Option<u64>,
    pub max_properties: Option<u64>,
    pub required: Vec<Box<str>>,
    pub all_of: Vec<Schema>,
    pub any_of: Vec<Schema>,
    pub one_of: Vec<Schema>,
    pub not: Option<Box<Schema>>,
}

/// A format that is looked at; others are passed over.
#[derive(Clone, Debug)]
pub struct Format {
    pub name: Box<str>,
    pub check: fn(&str) -> bool,
}

#[derive(Debug)]
pub struct Pattern {
    pub text: Box<str>,
    /// Why it cannot be used, else.
    pub regex: Result<Regex, String>,
}

#[derive(Clone, Debug)]
pub struct Bound {
    pub limit: Number,
    pub is_exclusive: bool,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "object" => Self::Object,
            "string" => Self::String,
            _ => return None,
        })
    }
}

impl Schema {
    /// The schema of a field that the object has.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or_else(|| self.additional())
    }

    /// The schema of fields that no property names.
    pub fn additional(&self) -> Option<&Schema> {
        match &self.additional {
            Additional::Of(schema) => Some(schema),
            _ => None,
        }
    }

    pub fn items(&self) -> Option<&Schema> {
        self.items.as_deref()
    }

    /// The default that stands for a missing field, or for a null that may not be.
    pub fn stands_for_null(&self, value: &Value) -> bool {
        value.is_null() && !self.is_nullable
    }
}
