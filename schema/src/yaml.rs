//! Reads YAML into a `Value` and notices keys given twice.

mod error;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::Problem;
use crate::any::{Format, Reader};
use crate::decode::MAX_PROBLEMS;
use crate::read::{Document, SyntaxError};

/// The key that takes the entries of another mapping in.
const MERGE: &str = "<<";

/// Reads the first YAML document. Of a key given twice the last value counts; keys
/// that are no strings become some.
///
/// # Errors
/// The bytes are no YAML, worded as Go's decoder does it.
pub fn read_yaml(bytes: &[u8]) -> Result<Document, SyntaxError> {
    let search = Rc::new(RefCell::new(Search::default()));
    let value = parse(bytes, &search).map_err(|e| SyntaxError(error::explain(&e)))?;
    let found = search.borrow().keys.len();
    let duplicates = (0..found).filter_map(|at| duplicate(bytes, at)).collect();
    Ok(Document { value, duplicates })
}

/// Where the duplicate number `at` stands: the parser tells the place of errors only,
/// so the document is read once more, and the key made one.
fn duplicate(bytes: &[u8], at: usize) -> Option<Problem> {
    let search = Rc::new(RefCell::new(Search {
        stop_at: Some(at),
        ..Search::default()
    }));
    let stopped = parse(bytes, &search).err()?;
    let key = search.borrow().keys.last()?.clone();
    let line = stopped.location().map_or(0, |place| place.line());
    Some(Problem::Repeated { line, key })
}

fn parse(bytes: &[u8], search: &Rc<RefCell<Search>>) -> Result<Value, serde_yaml::Error> {
    match serde_yaml::Deserializer::from_slice(bytes).next() {
        Some(document) => Reader(Yaml { search }).deserialize(document),
        None => Ok(Value::Null),
    }
}

/// The keys given twice so far, and at which of them to stop.
#[derive(Default)]
struct Search {
    keys: Vec<String>,
    stop_at: Option<usize>,
}

#[derive(Clone, Copy)]
struct Yaml<'a> {
    search: &'a Rc<RefCell<Search>>,
}

impl Format for Yaml<'_> {
    fn list<'de, A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Reader(self))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn mapping<'de, A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut merged = Value::Null;
        loop {
            let key = Key {
                taken: &object,
                search: self.search,
            };
            let Some(key) = entries.next_key_seed(key)? else {
                break;
            };
            let value = entries.next_value_seed(Reader(self))?;
            if key == MERGE && (value.is_object() || value.is_array()) {
                merged = value;
            } else {
                object.insert(key, value);
            }
        }
        take_in(&mut object, merged);
        Ok(Value::Object(object))
    }
}

/// Adds what the object lacks of the mappings under `<<`.
fn take_in(object: &mut Map<String, Value>, merged: Value) {
    match merged {
        Value::Object(entries) => {
            for (key, value) in entries {
                object.entry(key).or_insert(value);
            }
        }
        Value::Array(items) => items.into_iter().for_each(|item| take_in(object, item)),
        _ => {}
    }
}

/// A key of a mapping, as text.
struct Key<'a> {
    taken: &'a Map<String, Value>,
    search: &'a Rc<RefCell<Search>>,
}

impl Key<'_> {
    fn found<E: serde::de::Error>(self, key: String) -> Result<String, E> {
        let mut search = self.search.borrow_mut();
        if self.taken.contains_key(&key) && search.keys.len() < MAX_PROBLEMS {
            search.keys.push(key.clone());
            if search.stop_at == Some(search.keys.len() - 1) {
                return Err(E::custom("stopped"));
            }
        }
        Ok(key)
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar key")
    }

    fn visit_bool<E: serde::de::Error>(self, v: bool) -> Result<String, E> {
        self.found(v.to_string())
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<String, E> {
        self.found(v.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<String, E> {
        self.found(v.to_string())
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<String, E> {
        self.found(v.to_string())
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<String, E> {
        self.found(v.to_owned())
    }
}

#[cfg(test)]
mod tests;
