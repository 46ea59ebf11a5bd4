//! The merge patch between two objects.

use serde_json::{Map, Value};

/// What makes `new` of `old` as a JSON merge patch (RFC 7386): what is gone is
/// null in it, and what is the same is not there.
pub fn between(old: &Value, new: &Value) -> Value {
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        return new.clone();
    };
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(same) if same == value => {}
            Some(other) if other.is_object() && value.is_object() => {
                patch.insert(key.clone(), between(other, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_differences_are_patched_and_what_is_gone_is_null() {
        let old = json!({ "a": 1, "b": { "c": [1], "d": 2 }, "e": 3 });
        let new = json!({ "a": 1, "b": { "c": [1, 2] }, "f": {} });
        let patch = json!({ "b": { "c": [1, 2], "d": null }, "e": null, "f": {} });
        assert_eq!(between(&old, &new), patch);
        assert_eq!(between(&new, &new), json!({}));
    }
}
