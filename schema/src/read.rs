//! Reads JSON into a `Value` and notices keys given twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess};
use serde_json::de::Read;
use serde_json::map::Entry;
use serde_json::{Deserializer, Map, Value};

use crate::any::{Format, Reader};
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
    let reader = Reader(Json {
        path: &Path::Root,
        duplicates: &duplicates,
    });
    // One look at the whole text spares one at each string.
    let value = match std::str::from_utf8(bytes) {
        Ok(text) => whole(reader, Deserializer::from_str(text)),
        Err(_) => whole(reader, Deserializer::from_slice(bytes)),
    };
    let value = value.map_err(|error| SyntaxError(syntax::explain(bytes, &error)))?;
    Ok(Document {
        value,
        duplicates: duplicates.into_inner(),
    })
}

fn whole<'de, R: Read<'de>>(
    reader: Reader<Json<'_>>,
    mut deserializer: Deserializer<R>,
) -> serde_json::Result<Value> {
    let value = reader.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// JSON, and where in the document it is.
#[derive(Clone, Copy)]
struct Json<'a> {
    path: &'a Path<'a>,
    duplicates: &'a RefCell<Vec<Problem>>,
}

impl Format for Json<'_> {
    fn list<'de, A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let path = Path::Item(self.path, list.len());
            let item = Json {
                path: &path,
                ..self
            };
            match items.next_element_seed(Reader(item))? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn mapping<'de, A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Reader(Json {
                path: &Path::Key(self.path, &key),
                ..self
            }))?;
            match object.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(mut entry) => {
                    self.tell_twice(entry.key());
                    entry.insert(value);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

impl Json<'_> {
    fn tell_twice(self, key: &str) {
        let mut duplicates = self.duplicates.borrow_mut();
        let problem = Problem::Duplicate(Path::Key(self.path, key).to_string());
        if duplicates.len() < MAX_PROBLEMS && !duplicates.contains(&problem) {
            duplicates.push(problem);
        }
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
