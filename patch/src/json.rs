//! JSON patch, RFC 6902.

use apimachinery::meta;
use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::Error;

/// As many operations as Kubernetes takes in one patch.
const MAX_OPERATIONS: usize = 10_000;

/// As many bytes as the `copy` operations of one patch may add, since a few
/// dozen of them can double a document into all memory.
const MAX_COPIED: usize = 3 * 1024 * 1024;

/// Applies a JSON patch, given as the request's body.
///
/// # Errors
/// [`Error::Malformed`] for a body that is no patch or has too many operations, and
/// [`Error::Unprocessable`] for an operation that fails, a `test` among them.
pub fn json(doc: &Value, patch: &[u8]) -> Result<Value, Error> {
    let operations = parse(patch)?;
    let mut patched = doc.clone();
    let mut copied = 0;
    for operation in operations.0 {
        if let PatchOperation::Copy(copy) = &operation {
            copied += copy.from.resolve(&patched).map_or(0, size);
            if copied > MAX_COPIED {
                return Err(Error::Unprocessable(format!(
                    "Unable to complete the copy, the accumulated size increase of copy is {copied}, exceeding the limit {MAX_COPIED}"
                )));
            }
        }
        if finds_nothing_as_expected(&operation, &patched) {
            continue;
        }
        json_patch::patch(&mut patched, std::slice::from_ref(&operation))
            .map_err(|error| Error::Unprocessable(error.to_string()))?;
    }
    Ok(patched)
}

/// A test for null holds of a field that is not there, of an object or list that is:
/// so clients ask for the absence of finalizers. RFC 6902 has no such rule, Kubernetes does.
fn finds_nothing_as_expected(operation: &PatchOperation, doc: &Value) -> bool {
    let PatchOperation::Test(test) = operation else {
        return false;
    };
    let parent = test.path.parent().map(|parent| parent.resolve(doc));
    test.value.is_null()
        && test.path.resolve(doc).is_err()
        && matches!(parent, Some(Ok(Value::Object(_) | Value::Array(_))))
}

fn parse(patch: &[u8]) -> Result<Patch, Error> {
    let value = body(patch)?;
    let Value::Array(operations) = &value else {
        return Err(Error::Malformed(format!(
            "json: cannot unmarshal {} into Go value of type jsonpatch.Patch",
            meta::json_type(&value)
        )));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(Error::Malformed(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
            operations.len()
        )));
    }
    if let Some(odd) = operations.iter().find(|o| !o.is_object()) {
        return Err(Error::Malformed(format!(
            "json: cannot unmarshal {} into Go value of type jsonpatch.Operation",
            meta::json_type(odd)
        )));
    }
    // Kubernetes finds an unknown operation or a missing path when it gets there.
    serde_json::from_value(value).map_err(|error| Error::Unprocessable(error.to_string()))
}

/// Reads a patch's body.
pub(crate) fn body(patch: &[u8]) -> Result<Value, Error> {
    match schema::read(patch) {
        Ok(document) => Ok(document.value),
        Err(error) => Err(Error::Malformed(error.to_string())),
    }
}

/// About as many bytes as the value takes in JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|v| size(v) + 1).sum::<usize>(),
        Value::Object(map) => {
            2 + map
                .iter()
                .map(|(k, v)| k.len() + size(v) + 4)
                .sum::<usize>()
        }
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    fn apply(doc: &Value, patch: &Value) -> Result<Value, Error> {
        json(doc, patch.to_string().as_bytes())
    }

    #[test]
    fn operations_apply_in_order() {
        let doc = value!({"spec": {"replicas": 3}, "metadata": {"labels": {}}});
        let patch = value!([
            {"op": "replace", "path": "/spec/replicas", "value": 0},
            {"op": "add", "path": "/metadata/labels/z", "value": "1"},
            {"op": "test", "path": "/metadata/labels/z", "value": "1"},
        ]);
        assert_eq!(
            apply(&doc, &patch),
            Ok(value!({"spec": {"replicas": 0}, "metadata": {"labels": {"z": "1"}}}))
        );
    }

    #[test]
    fn a_failed_test_or_a_missing_path_is_unprocessable() {
        let doc = value!({"a": 1});
        for patch in [
            value!([{"op": "test", "path": "/a", "value": 2}]),
            value!([{"op": "remove", "path": "/b"}]),
            value!([{"op": "add", "path": "/b/c", "value": 1}]),
            value!([{"op": "leap", "path": "/b"}]),
        ] {
            let error = apply(&doc, &patch).expect_err("refused");
            assert!(
                matches!(error, Error::Unprocessable(_)),
                "{patch}: {error:?}"
            );
        }
    }

    #[test]
    fn a_test_for_null_holds_of_a_field_that_is_absent() {
        let doc = value!({"a": {"b": null}, "c": 1});
        for path in ["/a/b", "/a/x", "/x"] {
            let patch = value!([{"op": "test", "path": path, "value": null}]);
            assert_eq!(apply(&doc, &patch), Ok(doc.clone()), "{path}");
        }
        for path in ["/x/y", "/c", "/c/y"] {
            let patch = value!([{"op": "test", "path": path, "value": null}]);
            assert!(apply(&doc, &patch).is_err(), "{path}");
        }
    }

    #[test]
    fn a_body_that_is_no_list_is_malformed() {
        assert_eq!(
            apply(&value!({}), &value!({"op": "x"})),
            Err(Error::Malformed(
                "json: cannot unmarshal object into Go value of type jsonpatch.Patch".to_owned()
            ))
        );
    }

    #[test]
    fn copies_cannot_double_a_document_into_all_memory() {
        let doubling: Vec<_> = (0..60)
            .map(|_| value!({"op": "copy", "from": "/a", "path": "/a/-"}))
            .collect();
        let doc = value!({"a": ["x".repeat(100)]});
        assert!(matches!(
            apply(&doc, &Value::Array(doubling)),
            Err(Error::Unprocessable(_))
        ));
    }

    #[test]
    fn operations_are_counted() {
        let many = vec![value!({"op": "test", "path": "/a", "value": 1}); MAX_OPERATIONS + 1];
        assert!(matches!(
            apply(&value!({"a": 1}), &Value::Array(many)),
            Err(Error::Malformed(_))
        ));
    }
}
