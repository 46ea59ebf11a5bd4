//! Merging part of an object into it as server-side apply does, without owners: what a
//! MutatingAdmissionPolicy's apply configuration does.

use schema::Node;
use serde_json::Value;

use crate::Error;
use crate::typed::{self, Shape};

/// Merges `applied` into `live`.
///
/// # Errors
/// [`Error::Schema`] when `applied` does not fit, or holds a list, map or struct that is
/// owned as a whole: merging it would replace what others put there.
pub fn configure(node: &Node, live: &Value, applied: &Value) -> Result<Value, Error> {
    typed::validate(node, applied).map_err(|why| {
        Error::Schema(format!(
            "failed to convert patch object to typed object: {why}"
        ))
    })?;
    let mut whole = Vec::new();
    find_whole(node, applied, "", &mut whole);
    if !whole.is_empty() {
        let places = whole.join(", ");
        return Err(Error::Schema(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {places}"
        )));
    }
    Ok(typed::merge(node, Some(live), Some(applied)).unwrap_or(Value::Null))
}

/// Where `applied` holds what is owned as a whole.
fn find_whole(node: &Node, applied: &Value, path: &str, found: &mut Vec<String>) {
    match (Shape::of(node), applied) {
        (Shape::Leaf, Value::Object(_) | Value::Array(_)) => found.push(path.to_owned()),
        (Shape::Granular(keys), Value::Object(fields)) => {
            for (key, value) in fields {
                find_whole(keys.node(key), value, &format!("{path}.{key}"), found);
            }
        }
        (Shape::Associative(list), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                find_whole(&list.items, item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn configure_pod(applied: &Value) -> Result<Value, Error> {
        let node = schema::of("", "v1", "Pod").expect("pods have a schema");
        let live =
            json!({ "kind": "Pod", "spec": { "containers": [{ "name": "a", "image": "1" }] } });
        configure(node, &live, applied)
    }

    #[test]
    fn list_items_are_merged_by_their_keys() {
        let applied =
            json!({ "spec": { "containers": [{ "name": "b" }, { "name": "a", "image": "2" }] } });
        let merged = configure_pod(&applied).expect("fits");
        let names: Vec<_> = merged["spec"]["containers"]
            .as_array()
            .expect("a list")
            .iter()
            .collect();
        assert_eq!(names.len(), 2);
        assert!(names.contains(&&json!({ "name": "a", "image": "2" })));
    }

    #[test]
    fn what_is_owned_as_a_whole_is_refused() {
        let applied = json!({ "spec": { "containers": [{ "name": "a", "args": ["x"] }] } });
        let error = configure_pod(&applied).expect_err("atomic");
        assert_eq!(
            error.to_string(),
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args"
        );
    }

    #[test]
    fn what_the_schema_lacks_is_refused() {
        let error = configure_pod(&json!({ "spec": { "containersx": 1 } })).expect_err("unknown");
        let text = error.to_string();
        assert!(
            text.starts_with("failed to convert patch object to typed object: .spec.containersx"),
            "{text}"
        );
    }
}
