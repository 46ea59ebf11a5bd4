//! Checks a JSON value against a schema, in the words of Kubernetes' decoder.
//!
//! What comes out is what Kubernetes' own round trip through its Go types would
//! give: unknown fields and nulls gone, quantities and times in canonical form,
//! empty optional lists and maps left out, empty objects kept.

mod path;
mod scalar;

use std::fmt;

use serde_json::{Map, Value};

pub(crate) use path::Path;

use crate::node::{List, Node, Object};

/// As many problems of one document are told; the rest is noise.
pub(crate) const MAX_PROBLEMS: usize = 100;

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The value has the wrong type or form; the document cannot be used. The
    /// text is Kubernetes' own.
    Type(String),
    /// A field that the schema lacks, by its path; it was dropped.
    Unknown(String),
    /// A field given twice, by its path; the last one counts.
    Duplicate(String),
    /// Something else that only strict requests mind, in Kubernetes' words.
    Other(String),
    /// A key given twice in YAML, by the line of the second; the last one counts.
    Repeated { line: usize, key: String },
}

impl Problem {
    /// The document cannot be used, whatever the field validation.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Type(_))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(message) | Self::Other(message) => f.write_str(message),
            Self::Unknown(path) => write!(f, "unknown field \"{path}\""),
            Self::Duplicate(path) => write!(f, "duplicate field \"{path}\""),
            Self::Repeated { line, key } => {
                write!(f, "line {line}: key \"{key}\" already set in map")
            }
        }
    }
}

/// All problems of a document as one text, as the refusal of a strict request has it.
pub fn strict_text(problems: &[Problem]) -> String {
    let (repeated, others): (Vec<_>, Vec<_>) = problems
        .iter()
        .partition(|p| matches!(p, Problem::Repeated { .. }));
    let mut texts = Vec::new();
    if !repeated.is_empty() {
        let lines: String = repeated.iter().map(|p| format!("\n  {p}")).collect();
        texts.push(format!("yaml: unmarshal errors:{lines}"));
    }
    texts.extend(others.iter().map(ToString::to_string));
    texts.join(", ")
}

/// Makes `value` fit the schema and tells what was wrong with it. Stops at the
/// first fatal problem, which is then the last of the list.
pub fn decode(node: &Node, value: &mut Value) -> Vec<Problem> {
    let mut decoder = Decoder::default();
    if let Err(message) = decoder.value(node, value, &Path::Root) {
        decoder.problems.push(Problem::Type(message));
    }
    decoder.problems
}

#[derive(Default)]
struct Decoder {
    problems: Vec<Problem>,
}

/// Whether the value stays in its object or list.
#[derive(PartialEq)]
enum Keep {
    Yes,
    No,
}

impl Decoder {
    fn value(&mut self, node: &Node, value: &mut Value, path: &Path<'_>) -> Result<Keep, String> {
        if value.is_null() {
            return Ok(Keep::No);
        }
        match (node, &mut *value) {
            (Node::Object(object), Value::Object(map)) => self.object(object, map, path)?,
            (Node::Map(node), Value::Object(map)) => {
                for (key, value) in map.iter_mut() {
                    self.entry(&node.values, value, &Path::Key(path, key))?;
                }
            }
            (Node::List(list), Value::Array(items)) => self.list(list, items, path)?,
            (Node::Any, _) | (Node::RawObject, Value::Object(_)) => {}
            _ => scalar::check(node, value, path)?,
        }
        Ok(Keep::Yes)
    }

    fn object(
        &mut self,
        object: &Object,
        map: &mut Map<String, Value>,
        path: &Path<'_>,
    ) -> Result<(), String> {
        let mut failure = None;
        map.retain(|key, value| {
            if failure.is_some() {
                return true;
            }
            let Some(field) = object.field(key) else {
                if !object.keeps_unknown() {
                    self.unknown(&Path::Field(path, object, key));
                }
                return object.keeps_unknown();
            };
            match self.value(&field.node, value, &Path::Field(path, object, key)) {
                Ok(keep) => {
                    keep == Keep::Yes && (field.required || !is_omitted(&field.node, value))
                }
                Err(message) => {
                    failure = Some(message);
                    true
                }
            }
        });
        failure.map_or(Ok(()), Err)
    }

    fn list(&mut self, list: &List, items: &mut [Value], path: &Path<'_>) -> Result<(), String> {
        for (at, item) in items.iter_mut().enumerate() {
            self.entry(&list.items, item, &Path::Item(path, at))?;
        }
        Ok(())
    }

    /// An item of a list or value of a map: null is the type's zero value there.
    fn entry(&mut self, node: &Node, value: &mut Value, path: &Path<'_>) -> Result<(), String> {
        if self.value(node, value, path)? == Keep::No {
            *value = zero(node);
        }
        Ok(())
    }

    fn unknown(&mut self, path: &Path<'_>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem::Unknown(path.to_string()));
        }
    }
}

/// Kubernetes leaves empty lists and maps out of what it writes.
fn is_omitted(node: &Node, value: &Value) -> bool {
    match (node, value) {
        (Node::List(_), Value::Array(items)) => items.is_empty(),
        (Node::Map(_), Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

fn zero(node: &Node) -> Value {
    match node {
        Node::Object(_) => Value::Object(Map::new()),
        Node::String => Value::String(String::new()),
        Node::Integer(_) | Node::Number | Node::IntOrString => 0.into(),
        Node::Boolean => Value::Bool(false),
        Node::Quantity => "0".into(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests;
