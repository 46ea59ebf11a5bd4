//! JSON as kubectl prints it: four blanks a level, and `<`, `>` and `&` escaped.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

pub fn pretty(value: &Value) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    Ok(escaped(&String::from_utf8(bytes)?))
}

pub fn compact(value: &Value) -> String {
    escaped(&value.to_string())
}

/// These bytes are in a JSON text only within its strings.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn signs_that_html_minds_are_escaped() {
        assert_eq!(
            pretty(&json!({ "a": "<&>" })).unwrap(),
            "{\n    \"a\": \"\\u003c\\u0026\\u003e\"\n}"
        );
    }
}
