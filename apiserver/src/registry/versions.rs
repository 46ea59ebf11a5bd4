//! One stored object, several versions it is served in.

use apimachinery::Status;
use bytes::Bytes;
use serde_json::Value;
use store::{Entry, Revision};

use crate::bytes_json;
use crate::served::Served;

/// The object as `kind` serves it.
pub fn bytes(kind: &Served, entry: &Entry) -> Result<Bytes, Status> {
    match kind.conversion() {
        None => Ok(entry.value.clone()),
        Some(_) => encode(&value(kind, &entry.value)?),
    }
}

/// The stored bytes, parsed, as `kind` serves it.
pub fn value(kind: &Served, stored: &[u8]) -> Result<Value, Status> {
    let mut value: Value = serde_json::from_slice(stored).map_err(|error| {
        Status::internal(format!("a stored {} is no JSON: {error}", kind.kind()))
    })?;
    if let Some(conversion) = kind.conversion() {
        (conversion.from_stored)(&mut value);
    }
    Ok(value)
}

/// The object as it was deleted at `revision`.
pub fn deleted(kind: &Served, entry: &Entry, revision: Revision) -> Result<Bytes, Status> {
    let last = Entry {
        value: bytes_json::with_revision(&entry.value, revision),
        ..entry.clone()
    };
    bytes(kind, &last)
}

/// What to store for an object of `kind`.
pub fn to_stored(kind: &Served, object: &Value) -> Result<store::Value, Status> {
    let converted = kind.conversion().map(|conversion| {
        let mut object = object.clone();
        (conversion.to_stored)(&mut object);
        object
    });
    match converted.as_ref().unwrap_or(object) {
        Value::Object(fields) => Ok(bytes_json::encode(fields)),
        _ => Err(Status::bad_request("the object is no JSON object")),
    }
}

pub fn encode(value: &Value) -> Result<Bytes, Status> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(Status::internal)
}

/// An object of `from`, built in, as `to` serves it: another version of the same kind.
pub fn converted(from: &Served, to: &Served, object: &Value) -> Value {
    let mut converted = object.clone();
    if converted.is_null() {
        return converted;
    }
    if let Some(conversion) = from.conversion() {
        (conversion.to_stored)(&mut converted);
    }
    if let Some(conversion) = to.conversion() {
        (conversion.from_stored)(&mut converted);
    }
    converted
}
