//! Reads JSON into a `Value` and notices keys given twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::decode::{MAX_PROBLEMS, Path};
use crate::{Problem, syntax};

/// A JSON document and the keys it gave twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub value: Value,
    pub duplicates: Vec<Problem>,
}

/// The bytes are no JSON; displays as Go's decoder words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError(pub String);

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SyntaxError {}

/// Reads one JSON document. Of a key given twice the last value counts.
///
/// # Errors
/// The bytes are no JSON document, or one nested deeper than 128 levels.
pub fn read(bytes: &[u8]) -> Result<Document, SyntaxError> {
    let duplicates = RefCell::default();
    let reader = Reader {
        path: &Path::Root,
        duplicates: &duplicates,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = reader
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| SyntaxError(syntax::explain(bytes, &error)))?;
    Ok(Document {
        value,
        duplicates: duplicates.into_inner(),
    })
}

/// Builds one value of the document; `path` is where it stands.
#[derive(Clone, Copy)]
struct Reader<'a> {
    path: &'a Path<'a>,
    duplicates: &'a RefCell<Vec<Problem>>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = Path::Item(self.path, list.len());
            let item = Reader {
                path: &path,
                ..self
            };
            match items.next_element_seed(item)? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = Path::Key(self.path, &key);
            let value = entries.next_value_seed(Reader {
                path: &path,
                ..self
            })?;
            if object.contains_key(&key) {
                let mut duplicates = self.duplicates.borrow_mut();
                let problem = Problem::Duplicate(path.to_string());
                if duplicates.len() < MAX_PROBLEMS && !duplicates.contains(&problem) {
                    duplicates.push(problem);
                }
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_of_two_values_counts_and_the_key_is_told() {
        let document = read(br#"{"data":{"a":"1","a":"2"},"l":[{"x":1,"x":1}]}"#).expect("json");
        assert_eq!(document.value, json!({"data": {"a": "2"}, "l": [{"x": 1}]}));
        let told: Vec<_> = document.duplicates.iter().map(|d| d.to_string()).collect();
        assert_eq!(
            told,
            [r#"duplicate field "data.a""#, r#"duplicate field "l[0].x""#]
        );
    }

    #[test]
    fn numbers_keep_their_kind() {
        let document = read(b"[1, -1, 18446744073709551615, 1.5]").expect("json");
        assert_eq!(document.value, json!([1, -1, 18446744073709551615u64, 1.5]));
    }

    #[test]
    fn nesting_without_end_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(read(deep.as_bytes()).is_err());
    }
}
