//! Values without fields or items: checked, and brought into canonical form.

use apimachinery::{meta, quantity, time};
use serde_json::Value;

use super::path::{Path, go_type};
use crate::node::{Node, Width};

/// # Errors
/// Kubernetes' words for a value that the node does not take.
pub(super) fn check(node: &Node, value: &mut Value, path: &Path<'_>) -> Result<(), String> {
    match (node, &mut *value) {
        (Node::String, Value::String(_))
        | (Node::Boolean, Value::Bool(_))
        | (Node::Number, Value::Number(_))
        | (Node::IntOrString, Value::String(_)) => Ok(()),
        (Node::Integer(width), Value::Number(n)) if fits(n, *width) => Ok(()),
        (Node::IntOrString, Value::Number(n)) if fits(n, Width::Int32) => Ok(()),
        (Node::Integer(_) | Node::IntOrString, Value::Number(n)) => {
            Err(mismatch(node, &format!("number {n}"), path))
        }
        (Node::Bytes, Value::String(text)) => base64(text),
        (Node::Quantity, Value::String(text)) => canonical_quantity(text),
        (Node::Quantity, Value::Number(n)) => {
            let mut text = n.to_string();
            canonical_quantity(&mut text)?;
            *value = Value::String(text);
            Ok(())
        }
        (Node::Quantity, _) => Err(quantity::Error::Shape.to_string()),
        (Node::Time, Value::String(text)) => canonical_time(text, time::rfc3339),
        (Node::MicroTime, Value::String(text)) => canonical_time(text, time::micro),
        _ => Err(mismatch(node, meta::json_type(value), path)),
    }
}

fn fits(number: &serde_json::Number, width: Width) -> bool {
    match width {
        Width::Int32 => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        Width::Int64 => number.is_i64(),
    }
}

fn mismatch(node: &Node, found: &str, path: &Path<'_>) -> String {
    // Types that unmarshal themselves do not know what field they are in.
    let custom = matches!(node, Node::IntOrString | Node::Time | Node::MicroTime);
    let place = match path.go_field() {
        Some(field) if !custom => format!("Go struct field {field}"),
        _ => "Go value".to_owned(),
    };
    format!(
        "json: cannot unmarshal {found} into {place} of type {}",
        go_type(node)
    )
}

fn canonical_quantity(text: &mut String) -> Result<(), String> {
    let canonical = quantity::canonical(text.trim()).map_err(|e| e.to_string())?;
    if *text != canonical {
        *text = canonical.into_owned();
    }
    Ok(())
}

fn canonical_time(text: &mut String, print: fn(jiff::Timestamp) -> String) -> Result<(), String> {
    const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
    let parsed = is_rfc3339(text).then(|| time::parse(text)).flatten();
    match parsed {
        Some(time) => {
            let canonical = print(time);
            if *text != canonical {
                *text = canonical;
            }
            Ok(())
        }
        None => Err(format!(
            "parsing time {text:?} as {LAYOUT:?}: cannot parse {text:?} as \"2006\""
        )),
    }
}

/// The shape that Go's layout takes; `jiff` alone would take more.
fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    bytes.len() >= 20
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && separators
            .iter()
            .all(|&(at, separator)| bytes[at] == separator)
        && (text.ends_with('Z') || bytes[19..].iter().any(|b| matches!(b, b'+' | b'-')))
}

/// Standard base64 with padding; newlines inside are dropped as Go drops them.
fn base64(text: &mut String) -> Result<(), String> {
    if text.contains(['\r', '\n']) {
        text.retain(|c| c != '\r' && c != '\n');
    }
    let bytes = text.as_bytes();
    let padding = bytes.iter().rev().take_while(|b| **b == b'=').count();
    let data = &bytes[..bytes.len() - padding.min(2)];
    let is_symbol = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let bad = data.iter().position(|b| !is_symbol(b));
    match bad {
        None if bytes.len().is_multiple_of(4) => Ok(()),
        bad => Err(format!(
            "illegal base64 data at input byte {}",
            bad.unwrap_or(bytes.len() / 4 * 4)
        )),
    }
}
