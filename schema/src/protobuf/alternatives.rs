//! The fields of a CustomResourceDefinition that are one thing or another, and
//! that the schemas therefore know nothing of: a schema or several, a schema or a
//! boolean, a schema or names.

use serde_json::{Map, Value};

use super::Error;
use super::object::message;
use super::table::row;
use super::wire::{Field, fields, text};
use crate::node::Object;

const SCHEMA: &str = "JSONSchemaProps";

/// What such a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alternative {
    /// `{ schema, jsonSchemas }`
    SchemaOrList,
    /// `{ allows, schema }`
    SchemaOrBool,
    /// A map to `{ schema, property }`.
    SchemasOrNames,
    /// A message that has no fields, which being there turns something on.
    Empty,
}

impl Alternative {
    /// `None` for a field that its schema describes.
    pub(super) fn of(object: &Object, field: &str) -> Option<Self> {
        let definition = object.name().rsplit('.').next()?;
        match (definition, field) {
            (SCHEMA, "items") => Some(Self::SchemaOrList),
            (SCHEMA, "additionalItems" | "additionalProperties") => Some(Self::SchemaOrBool),
            (SCHEMA, "dependencies") => Some(Self::SchemasOrNames),
            ("CustomResourceSubresources", "status") => Some(Self::Empty),
            _ => None,
        }
    }

    /// Reads the field's message into `out`; `object` is the one that has the field.
    pub(super) fn add(
        self,
        object: &Object,
        field: &str,
        bytes: &[u8],
        out: &mut Map<String, Value>,
        depth: usize,
    ) -> Result<(), Error> {
        let value = match self {
            Self::Empty => Value::Object(Map::new()),
            Self::SchemaOrList => schema_or_list(object, bytes, depth)?,
            Self::SchemaOrBool => schema_or_bool(object, bytes, depth)?,
            Self::SchemasOrNames => {
                let (key, value) = dependency(object, bytes, depth)?;
                let map = out
                    .entry(field)
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    map.insert(key, value);
                }
                return Ok(());
            }
        };
        out.insert(field.to_owned(), value);
        Ok(())
    }
}

fn schema(object: &Object, bytes: &[u8], depth: usize) -> Result<Value, Error> {
    let row = row(object.name()).ok_or(Error::Malformed)?;
    let mut out = Map::new();
    message(row, object, bytes, &mut out, depth + 1)?;
    Ok(Value::Object(out))
}

fn schema_or_list(object: &Object, bytes: &[u8], depth: usize) -> Result<Value, Error> {
    let (mut one, mut several) = (Value::Null, Vec::<Value>::new());
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(bytes)) => one = schema(object, bytes, depth)?,
            (2, Field::Bytes(bytes)) => several.push(schema(object, bytes, depth)?),
            _ => {}
        }
    }
    Ok(if several.is_empty() {
        one
    } else {
        several.into()
    })
}

fn schema_or_bool(object: &Object, bytes: &[u8], depth: usize) -> Result<Value, Error> {
    let (mut allows, mut one) = (false, None);
    for field in fields(bytes) {
        match field? {
            (1, Field::Varint(number)) => allows = number != 0,
            (2, Field::Bytes(bytes)) => one = Some(schema(object, bytes, depth)?),
            _ => {}
        }
    }
    Ok(one.unwrap_or(Value::Bool(allows)))
}

/// One entry of `dependencies`.
fn dependency(object: &Object, pair: &[u8], depth: usize) -> Result<(String, Value), Error> {
    let (mut key, mut value) = (String::new(), Value::Null);
    for field in fields(pair) {
        match field? {
            (1, Field::Bytes(bytes)) => text(bytes)?.clone_into(&mut key),
            (2, Field::Bytes(bytes)) => value = schema_or_names(object, bytes, depth)?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn schema_or_names(object: &Object, bytes: &[u8], depth: usize) -> Result<Value, Error> {
    let (mut one, mut names) = (Value::Null, Vec::<Value>::new());
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(bytes)) => one = schema(object, bytes, depth)?,
            (2, Field::Bytes(bytes)) => names.push(text(bytes)?.into()),
            _ => {}
        }
    }
    Ok(if names.is_empty() { one } else { names.into() })
}
