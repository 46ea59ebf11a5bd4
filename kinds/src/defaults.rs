//! The vocabulary of defaulting.

use serde_json::{Map, Value};

/// The object in a field, made if absent.
pub use apimachinery::meta::entry as object;

/// Sets a field that is absent.
pub fn set_default(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        set_default_in(fields, field, value);
    }
}

fn set_default_in(fields: &mut Map<String, Value>, field: &str, value: impl Into<Value>) {
    match fields.get_mut(field) {
        Some(found) if found.is_null() => *found = value.into(),
        Some(_) => {}
        None => {
            fields.insert(field.to_owned(), value.into());
        }
    }
}

/// Sets a text that is absent or empty.
pub fn set_text(object: &mut Value, field: &str, value: &str) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    match fields.get_mut(field) {
        Some(Value::String(text)) if !text.is_empty() => {}
        Some(found) => *found = value.into(),
        None => {
            fields.insert(field.to_owned(), value.into());
        }
    }
}

/// Sets a number that is absent or zero.
pub fn set_number(object: &mut Value, field: &str, value: i64) {
    if object.get(field).and_then(Value::as_i64).unwrap_or(0) == 0 && object.is_object() {
        object[field] = value.into();
    }
}

/// Does something with a field that is there.
pub fn with(parent: &mut Value, field: &str, change: impl FnOnce(&mut Value)) {
    if let Some(value) = parent.get_mut(field).filter(|value| !value.is_null()) {
        change(value);
    }
}

/// Does something with every field that is there.
pub fn each_field(parent: &mut Value, mut change: impl FnMut(&str, &mut Value)) {
    let fields = parent.as_object_mut().into_iter().flatten();
    for (name, value) in fields.filter(|(_, value)| !value.is_null()) {
        change(name, value);
    }
}

/// Does something with every item of a list.
pub fn each(parent: &mut Value, field: &str, mut change: impl FnMut(&mut Value)) {
    if let Some(list) = parent.get_mut(field) {
        each_item(list, &mut change);
    }
}

pub fn each_item(list: &mut Value, mut change: impl FnMut(&mut Value)) {
    let items = list.as_array_mut().into_iter().flatten();
    items.for_each(&mut change);
}

/// A field that holds the first of a list says the same as the list: clients of old know
/// only the one.
pub fn one_and_many(object: &mut Value, one: &str, many: &str) {
    let first = object.get(many).and_then(|many| many.get(0)).cloned();
    let single = object
        .get(one)
        .filter(|one| one.as_str().is_some_and(|one| !one.is_empty()));
    match (single.cloned(), first) {
        (Some(single), None) => object[many] = Value::Array(vec![single]),
        (None, Some(first)) => object[one] = first,
        _ => {}
    }
}

pub fn is(object: &Value, field: &str, text: &str) -> bool {
    object.get(field).and_then(Value::as_str) == Some(text)
}

/// Rewrites a map of quantities to their canonical texts.
pub fn canonical_amounts(object: &mut Value, field: &str) {
    let Some(amounts) = object.get_mut(field).and_then(Value::as_object_mut) else {
        return;
    };
    for amount in amounts.values_mut() {
        canonical_amount(amount);
    }
}

pub fn canonical_amount(amount: &mut Value) {
    if let Ok(quantity) = apimachinery::Quantity::from_json(amount) {
        let text = quantity.text();
        if amount.as_str().map(str::as_bytes) != Some(text.as_bytes()) {
            *amount = text.as_str().into();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_default_never_replaces_what_is_there() {
        let mut object = json!({"a": "set", "n": null});
        set_default(&mut object, "a", "default");
        set_default(&mut object, "b", "default");
        set_default(&mut object, "n", 1);
        assert_eq!(object, json!({"a": "set", "b": "default", "n": 1}));
    }

    #[test]
    fn amounts_become_canonical() {
        let mut object = json!({"limits": {"cpu": "0.5", "memory": "1024Mi", "n": 2}});
        canonical_amounts(&mut object, "limits");
        assert_eq!(
            object["limits"],
            json!({"cpu": "500m", "memory": "1Gi", "n": "2"})
        );
    }
}
