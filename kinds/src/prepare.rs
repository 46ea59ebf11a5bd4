//! What happens to an object between defaulting and validation.

use apimachinery::meta;
use serde_json::Value;

/// Status is not set by who creates; generation starts at 1.
pub fn new_with_status(object: &mut Value) {
    drop_status(object);
    meta::set_meta(object, "generation", 1);
}

pub fn drop_status(object: &mut Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
}

/// Generation starts at 1, for kinds without a status.
pub fn new_generation(object: &mut Value) {
    meta::set_meta(object, "generation", 1);
}

/// Keeps the old status; a changed spec is a new generation.
pub fn keep_status(new: &mut Value, old: &Value) {
    copy_field(new, old, "status");
    bump_on_spec(new, old);
}

/// Keeps the old status where no generation is counted.
pub fn keep_status_only(new: &mut Value, old: &Value) {
    copy_field(new, old, "status");
}

/// A changed spec is a new generation.
pub fn bump_on_spec(new: &mut Value, old: &Value) {
    bump_unless(new, old, new.get("spec") == old.get("spec"));
}

/// Anything changed outside of metadata is a new generation.
pub fn bump_on_content(new: &mut Value, old: &Value) {
    let same = fields_but_meta(new) == fields_but_meta(old);
    bump_unless(new, old, same);
}

fn fields_but_meta(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    let mut fields: Vec<_> = fields.filter(|(key, _)| *key != "metadata").collect();
    fields.sort_by_key(|(key, _)| *key);
    fields
}

fn bump_unless(new: &mut Value, old: &Value, same: bool) {
    let generation = meta::generation(old) + i64::from(!same);
    if generation > 0 {
        meta::set_meta(new, "generation", generation);
    } else {
        meta::remove_meta(new, "generation");
    }
}

/// An update of `/status` changes nothing but status, and metadata's own bookkeeping.
pub fn only_status(new: &mut Value, old: &Value) {
    let status = new.get("status").cloned();
    let metadata = status_metadata(new, old);
    let mut kept = old.clone();
    kept["metadata"] = metadata;
    *new = kept;
    match (status, new.as_object_mut()) {
        (Some(status), Some(fields)) => {
            fields.insert("status".to_owned(), status);
        }
        (None, Some(fields)) => {
            fields.remove("status");
        }
        _ => {}
    }
}

/// Metadata may be changed through `/status`; the count of specs may not.
fn status_metadata(new: &mut Value, old: &Value) -> Value {
    let mut metadata = new["metadata"].take();
    let before = old.get("metadata").unwrap_or(&Value::Null);
    copy_field(&mut metadata, before, "generation");
    metadata
}

/// Makes `new[field]` what `old[field]` is, absent included.
pub fn copy_field(new: &mut Value, old: &Value, field: &str) {
    let Some(fields) = new.as_object_mut() else {
        return;
    };
    match old.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_keeps_status_and_counts_a_changed_spec() {
        let old = json!({"metadata": {"generation": 3}, "spec": {"a": 1}, "status": {"x": 1}});
        let mut new = json!({"metadata": {}, "spec": {"a": 2}, "status": {"x": 9}});
        keep_status(&mut new, &old);
        assert_eq!(
            new,
            json!({"metadata": {"generation": 4}, "spec": {"a": 2}, "status": {"x": 1}})
        );
    }

    #[test]
    fn a_status_update_changes_only_status() {
        let old = json!({"metadata": {"name": "a", "generation": 3}, "spec": {"a": 1}});
        let mut new = json!({"metadata": {"name": "a", "generation": 9}, "spec": {"a": 2}, "status": {"x": 9}});
        only_status(&mut new, &old);
        assert_eq!(
            new,
            json!({"metadata": {"name": "a", "generation": 3}, "spec": {"a": 1}, "status": {"x": 9}})
        );
    }
}
