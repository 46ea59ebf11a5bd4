//! `metadata.managedFields`: who set which field last.

use schema::Node;
use serde_json::Value;

/// Who writes, through what, and when.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    /// The `fieldManager`; see [`manager_or_agent`] for requests without one.
    pub manager: &'a str,
    /// `v1`, `apps/v1`: the version that the request speaks.
    pub api_version: &'a str,
    /// `status`, `scale`, or empty.
    pub subresource: &'a str,
    /// Now, in RFC 3339 with seconds: `2026-01-01T00:00:00Z`.
    pub time: &'a str,
    /// Fields that a write through this endpoint cannot change, so nobody comes
    /// to own them by it: `&[&["status"]]` for the main resource.
    pub reset: &'a [&'a [&'a str]],
}

/// The manager of a request: its `fieldManager`, else what stands before the
/// first `/` of its user agent.
pub fn manager_or_agent<'a>(field_manager: &'a str, user_agent: &'a str) -> &'a str {
    let _ = (field_manager, user_agent);
    todo!()
}

/// Sets `new`'s `managedFields` after a create (`live` is `None`) or an update:
/// fields that changed belong to the writer now. Call it when defaults are set
/// and before admission. An object that does not fit the schema is left as it is.
pub fn update(live: Option<&Value>, new: &mut Value, writer: &Writer<'_>, node: &Node) {
    let _ = (live, new, writer, node);
    todo!()
}
