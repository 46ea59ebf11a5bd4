//! Eviction: only ever posted to a pod's `/eviction`, hence in no table of its own.

use apimachinery::meta;
use serde_json::Value;

/// The uid or version the pod must still have.
pub fn precondition<'a>(eviction: &'a Value, field: &str) -> Option<&'a str> {
    let value = meta::get(eviction, "deleteOptions.preconditions")?;
    value.get(field)?.as_str()
}

/// The grace period asked for.
pub fn grace_seconds(eviction: &Value) -> Option<i64> {
    meta::int(eviction, "deleteOptions.gracePeriodSeconds")
}
