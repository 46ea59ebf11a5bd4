//! JSON objects into messages, field by field: the mirror of what reads them.
//!
//! Go writes fields that it holds by value whether they are set or not; here they
//! are left out, which a reader cannot tell from their zero. Fields without a
//! number are left out too: there is nowhere to put them.

use apimachinery::time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Error;
use super::alternatives::Alternative;
use super::object::is_list_type;
use super::table::{Row, Target, row};
use super::wire::put;
use crate::node::{Node, Object};

/// Appends the message of an object. It cannot nest deeper than the JSON did,
/// whose reader has a bound.
pub(super) fn message(
    row_of: &Row,
    object: &Object,
    value: &Map<String, Value>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    for (number, target) in row_of {
        match target {
            Target::Embedded(definition) => {
                let embedded = row(definition).ok_or_else(|| unfit(definition))?;
                let mut inner = Vec::new();
                message(embedded, object, value, &mut inner)?;
                if !inner.is_empty() {
                    put::bytes(*number, &inner, out);
                }
            }
            Target::Field(name) => {
                let known = object.field(name).zip(value.get(*name));
                if let Some((field, value)) = known.filter(|(_, value)| !value.is_null()) {
                    add(object, name, &field.node, *number, value, out)?;
                }
            }
        }
    }
    Ok(())
}

fn add(
    object: &Object,
    name: &str,
    node: &Node,
    number: u32,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    if let Some(alternative) = Alternative::of(object, name) {
        return alternative.write(object, number, value, out);
    }
    match (node, value) {
        (Node::List(_), value) if is_list_type(object, name) => item(node, number, value, out),
        (Node::List(list), Value::Array(items)) => {
            let mut items = items.iter();
            items.try_for_each(|value| item(&list.items, number, value, out))
        }
        (Node::Map(map), Value::Object(entries)) => {
            let mut entries = entries.iter();
            entries.try_for_each(|(key, value)| entry(&map.values, number, key, value, out))
        }
        (node, value) => item(node, number, value, out),
    }
    .map_err(|error| error.below(name))
}

/// One entry of a map.
fn entry(
    node: &Node,
    number: u32,
    key: &str,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut pair = Vec::new();
    put::bytes(1, key.as_bytes(), &mut pair);
    if !value.is_null() {
        item(node, 2, value, &mut pair)?;
    }
    put::bytes(number, &pair, out);
    Ok(())
}

/// One value, as the field of that number.
fn item(node: &Node, number: u32, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    match (node, value) {
        (Node::String, Value::String(text)) => put::bytes(number, text.as_bytes(), out),
        (Node::Bytes, Value::String(text)) => {
            let bytes = STANDARD.decode(text).map_err(|_| unfit("base64"))?;
            put::bytes(number, &bytes, out);
        }
        (Node::Integer(_), Value::Number(value)) => {
            let value = value.as_i64().ok_or_else(|| unfit("an integer"))?;
            put::varint(number, value.cast_unsigned(), out);
        }
        (Node::Boolean, Value::Bool(value)) => put::varint(number, u64::from(*value), out),
        (Node::Number, Value::Number(value)) => {
            put::double(number, value.as_f64().unwrap_or_default(), out);
        }
        (node, value) => {
            let mut inner = Vec::new();
            nested(node, value, &mut inner)?;
            put::bytes(number, &inner, out);
        }
    }
    Ok(())
}

/// What is a message of its own.
fn nested(node: &Node, value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    match (node, value) {
        (Node::Object(object), Value::Object(value)) => match row(object.name()) {
            Some(row) => message(row, object, value, out),
            None => Ok(()),
        },
        // A list inside a map: `ExtraValue`.
        (Node::List(list), Value::Array(items)) => {
            let mut items = items.iter();
            items.try_for_each(|value| item(&list.items, 1, value, out))
        }
        (Node::IntOrString, value) => int_or_string(value, out),
        (Node::Quantity, value) => {
            put::bytes(1, scalar_text(value)?.as_bytes(), out);
            Ok(())
        }
        (Node::Time | Node::MicroTime, Value::String(text)) => timestamp(text, out),
        (Node::RawObject | Node::Any, value) => {
            put::bytes(1, value.to_string().as_bytes(), out);
            Ok(())
        }
        _ => Err(unfit("another type")),
    }
}

/// A quantity may be given as a number.
fn scalar_text(value: &Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(unfit("a quantity")),
    }
}

/// `{ type, intVal, strVal }`.
fn int_or_string(value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    match value {
        Value::String(text) => {
            put::varint(1, 1, out);
            put::bytes(3, text.as_bytes(), out);
        }
        Value::Number(number) => {
            let number = number.as_i64().ok_or_else(|| unfit("an integer"))?;
            put::varint(1, 0, out);
            put::varint(2, number.cast_unsigned(), out);
        }
        _ => return Err(unfit("an integer or a text")),
    }
    Ok(())
}

/// `{ seconds, nanos }`.
fn timestamp(text: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let time = time::parse(text).ok_or_else(|| unfit("a time"))?;
    let nanos = time.subsec_nanosecond();
    // Go's counts forward from the second before, also before 1970.
    let (seconds, nanos) = if nanos < 0 {
        (time.as_second() - 1, nanos + 1_000_000_000)
    } else {
        (time.as_second(), nanos)
    };
    put::varint(1, seconds.cast_unsigned(), out);
    put::varint(2, u64::from(nanos.cast_unsigned()), out);
    Ok(())
}

impl Alternative {
    /// Writes the field; `object` is the one that has it.
    fn write(
        self,
        object: &Object,
        number: u32,
        value: &Value,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut inner = Vec::new();
        match (self, value) {
            (Self::Empty, _) => {}
            (Self::SchemasOrNames, Value::Object(entries)) => {
                for (key, value) in entries {
                    let mut pair = Vec::new();
                    put::bytes(1, key.as_bytes(), &mut pair);
                    put::bytes(2, &schema_or_names(object, value)?, &mut pair);
                    put::bytes(number, &pair, out);
                }
                return Ok(());
            }
            (Self::SchemaOrList, Value::Array(several)) => {
                for one in several {
                    put::bytes(2, &schema(object, one)?, &mut inner);
                }
            }
            (Self::SchemaOrBool, Value::Bool(allows)) => {
                put::varint(1, u64::from(*allows), &mut inner);
            }
            (Self::SchemaOrBool, one) => {
                put::varint(1, 1, &mut inner);
                put::bytes(2, &schema(object, one)?, &mut inner);
            }
            (_, one) => put::bytes(1, &schema(object, one)?, &mut inner),
        }
        put::bytes(number, &inner, out);
        Ok(())
    }
}

fn schema_or_names(object: &Object, value: &Value) -> Result<Vec<u8>, Error> {
    let mut inner = Vec::new();
    match value {
        Value::Array(names) => {
            for name in names {
                item(&Node::String, 2, name, &mut inner)?;
            }
        }
        one => put::bytes(1, &schema(object, one)?, &mut inner),
    }
    Ok(inner)
}

fn schema(object: &Object, value: &Value) -> Result<Vec<u8>, Error> {
    let row = row(object.name()).ok_or_else(|| unfit("a schema"))?;
    let value = value.as_object().ok_or_else(|| unfit("a schema"))?;
    let mut out = Vec::new();
    message(row, object, value, &mut out)?;
    Ok(out)
}

fn unfit(wanted: &str) -> Error {
    Error::Unfit {
        path: String::new(),
        wanted: wanted.to_owned(),
    }
}
