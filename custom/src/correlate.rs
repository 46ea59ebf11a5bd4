//! Which part of the old object a part of the new one was.

use std::collections::HashMap;

use serde_json::Value;

use crate::schema::{ListType, Schema};

/// The old items of a list, by what tells them apart. Only lists of type `map` have
/// items that can be told apart.
pub struct Items<'a> {
    keys: Vec<(&'a str, Option<&'a Value>)>,
    by_key: HashMap<String, &'a Value>,
}

impl<'a> Items<'a> {
    pub fn new(list: &'a Schema, old: Option<&'a Value>) -> Self {
        let keys = match &list.list {
            ListType::Map(_) if old.is_some_and(Value::is_array) => keys(list),
            _ => Vec::new(),
        };
        let mut by_key = HashMap::new();
        if !keys.is_empty() {
            for item in old.and_then(Value::as_array).into_iter().flatten() {
                by_key.insert(projection(&keys, item), item);
            }
        }
        Self { keys, by_key }
    }

    /// The item that `new` was.
    pub fn of(&self, new: &Value) -> Option<&'a Value> {
        if self.by_key.is_empty() {
            return None;
        }
        self.by_key.get(&projection(&self.keys, new)).copied()
    }
}

/// The names of a list's keys, and what counts where an item lacks one.
pub fn keys(list: &Schema) -> Vec<(&str, Option<&Value>)> {
    let ListType::Map(names) = &list.list else {
        return Vec::new();
    };
    let default = |name: &str| list.items()?.properties.get(name)?.default.as_ref();
    names.iter().map(|name| (&**name, default(name))).collect()
}

/// The keys of one item as an object.
pub fn key_values(keys: &[(&str, Option<&Value>)], item: &Value) -> Value {
    let values = keys.iter().filter_map(|(name, default)| {
        let value = item.get(*name).or(*default)?;
        Some(((*name).to_owned(), value.clone()))
    });
    Value::Object(values.collect())
}

fn projection(keys: &[(&str, Option<&Value>)], item: &Value) -> String {
    key_values(keys, item).to_string()
}
