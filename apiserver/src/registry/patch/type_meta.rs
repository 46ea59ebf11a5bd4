//! What a changed object says it is: the kind that it was before.

use serde_json::{Map, Value};

use crate::registry::decode;
use crate::served::Served;

/// Whether a changed object can still be read as what it was; one of a built-in kind
/// that leaves out what it is, is what it was.
///
/// # Errors
/// Why not, in the words of Kubernetes' decoder. Of custom resources only those without
/// a kind are none: which kind it is, their validation looks at.
pub fn check(kind: &Served, object: &mut Value) -> Result<(), String> {
    if kind.is_custom() {
        if is_absent(object.get("kind")) {
            return Err(format!("Object 'Kind' is missing in '{object}'"));
        }
        return Ok(());
    }
    let Value::Object(fields) = object else {
        return Ok(());
    };
    for (field, own) in [
        ("kind", kind.kind().into()),
        ("apiVersion", kind.api_version()),
    ] {
        if is_absent(fields.get(field)) {
            fields.insert(field.to_owned(), own.into());
        }
    }
    // What is no text at all does not fit the schema.
    match (text(fields, "kind"), text(fields, "apiVersion")) {
        (Some(given), Some(version)) if given != kind.kind() || version != kind.api_version() => {
            Err(decode::unlike(kind.into(), given, version))
        }
        _ => Ok(()),
    }
}

/// Says of a built-in object again what it is, whatever it was made to say.
pub fn restore(kind: &Served, object: &mut Value) {
    if let Value::Object(fields) = object {
        fields.insert("kind".into(), kind.kind().into());
        fields.insert("apiVersion".into(), kind.api_version().into());
    }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

fn is_absent(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.is_null() || value == "")
}
