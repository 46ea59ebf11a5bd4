//! Rules on `metadata`, the same for every kind.

use apimachinery::field::{Error, Path};
use apimachinery::names;
use serde_json::Value;

/// Mistakes in the metadata of an object to be created.
pub fn validate(object: &Value, namespaced: bool, rule: names::Rule) -> Vec<Error> {
    let _ = (object, namespaced, rule);
    Vec::new()
}

/// Mistakes in changing metadata.
pub fn validate_update(new: &Value, old: &Value, path: &Path<'_>) -> Vec<Error> {
    let _ = (new, old, path);
    Vec::new()
}
