//! JSON merge patch, RFC 7386.

use serde_json::{Map, Value};

use crate::Error;
use crate::json::body;

/// Applies a merge patch, given as the request's body.
///
/// # Errors
/// [`Error::Malformed`] for a body that is no JSON object.
pub fn merge(doc: &Value, patch: &[u8]) -> Result<Value, Error> {
    let Value::Object(patch) = body(patch)? else {
        return Err(Error::Malformed("Invalid JSON Patch".to_owned()));
    };
    let mut merged = doc.clone();
    merge_object(&mut merged, patch);
    Ok(merged)
}

fn merge_object(target: &mut Value, patch: Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        unreachable!("made an object above");
    };
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(&key);
            }
            Value::Object(inner) => merge_object(target.entry(key).or_insert(Value::Null), inner),
            other => {
                target.insert(key, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apply(doc: Value, patch: &Value) -> Result<Value, Error> {
        merge(&doc, patch.to_string().as_bytes())
    }

    #[test]
    fn objects_merge_lists_replace_and_nulls_remove() {
        let doc = json!({"a": {"b": 1, "c": 2}, "l": [1, 2], "gone": true});
        let patch = json!({"a": {"b": 3}, "l": [9], "gone": null, "new": {"x": null, "y": 1}});
        assert_eq!(
            apply(doc, &patch),
            Ok(json!({"a": {"b": 3, "c": 2}, "l": [9], "new": {"y": 1}}))
        );
    }

    #[test]
    fn a_patch_that_is_no_object_is_malformed() {
        assert!(matches!(
            apply(json!({}), &json!([])),
            Err(Error::Malformed(_))
        ));
        assert!(matches!(merge(&json!({}), b"{"), Err(Error::Malformed(_))));
    }
}
