//! What `kubectl get` shows of an object: `additionalPrinterColumns`.

use apimachinery::json_path::JsonPath;
use apimachinery::{duration, meta, time};
use jiff::Timestamp;
use serde_json::Value;

use crate::go;

/// One column after NAME.
#[derive(Debug)]
pub struct Column {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i32,
    /// None: the path was none, and the cells are empty.
    path: Option<JsonPath>,
}

impl Column {
    pub fn read(column: &Value) -> Self {
        let text = |name: &str| meta::text(column, name).to_owned();
        let (path, description) = (text("jsonPath"), text("description"));
        Self {
            name: text("name"),
            kind: text("type"),
            format: text("format"),
            description: if description.is_empty() {
                format!("Custom resource definition column (in JSONPath format): {path}")
            } else {
                description
            },
            priority: meta::int(column, "priority")
                .and_then(|n| n.try_into().ok())
                .unwrap_or(0),
            path: JsonPath::parse(&path).ok(),
        }
    }

    /// What a version without columns shows.
    pub fn age(description: &str) -> Self {
        Self {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: description.to_owned(),
            priority: 0,
            path: JsonPath::parse(".metadata.creationTimestamp").ok(),
        }
    }

    pub fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self
            .path
            .as_ref()
            .map_or_else(Vec::new, |path| path.find(object));
        let Some(first) = found.first() else {
            return Value::Null;
        };
        match (self.kind.as_str(), first) {
            ("string", _) => {
                let texts: Vec<String> = found.iter().map(|value| text(value)).collect();
                texts.join(" ").into()
            }
            ("integer", Value::Number(n)) => whole(n),
            ("number", Value::Number(n)) => n.as_f64().map_or(Value::Null, Value::from),
            ("boolean", Value::Bool(b)) => (*b).into(),
            ("date", Value::String(text)) if time::parse(text).is_none() => "<invalid>".into(),
            ("date", Value::String(text)) => duration::age(Some(text), now).into(),
            _ => Value::Null,
        }
    }
}

fn whole(number: &serde_json::Number) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "as Go's int64(f) does")]
    let cut = || number.as_f64().map(|float| float as i64);
    number
        .as_i64()
        .or_else(cut)
        .map_or(Value::Null, Value::from)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => go::number(number),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn cell(kind: &str, path: &str) -> Value {
        let column = Column::read(&json!({"name": "X", "type": kind, "jsonPath": path}));
        let object = json!({"spec": {"n": 3, "f": 2.5, "b": true, "s": "x", "list": ["a", 1], "at": "2024-01-01T00:00:00Z", "o": {"k": 1}}});
        column.cell(&object, "2024-01-01T02:00:00Z".parse().expect("a time"))
    }

    #[test]
    fn cells_are_of_the_columns_type() {
        assert_eq!(cell("integer", ".spec.n"), json!(3));
        assert_eq!(cell("integer", ".spec.f"), json!(2));
        assert_eq!(cell("number", ".spec.f"), json!(2.5));
        assert_eq!(cell("boolean", ".spec.b"), json!(true));
        assert_eq!(cell("string", ".spec.s"), json!("x"));
        assert_eq!(cell("string", ".spec.n"), json!("3"));
        assert_eq!(cell("string", ".spec.list[*]"), json!("a 1"));
        assert_eq!(cell("string", ".spec.o"), json!("{\"k\":1}"));
        assert_eq!(cell("date", ".spec.at"), json!("120m"));
        assert_eq!(cell("date", ".spec.s"), json!("<invalid>"));
        assert_eq!(cell("integer", ".spec.s"), json!(null));
        assert_eq!(cell("string", ".spec.none"), json!(null));
    }
}
