//! `metadata.managedFields`: who set which field last.

mod claim;
mod creator;
mod owners;
mod skeleton;

use std::sync::LazyLock;

use schema::Node;
use serde_json::Value;

use crate::FieldSet;
use crate::typed::{Comparison, compare, is_hollow};
pub(crate) use owners::{Operation, Owner, Owners};
pub(crate) use skeleton::skeleton;

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

/// Fields that the server itself sets; nobody owns them.
const SERVERS_OWN: &[&str] = &["apiVersion", "kind", "metadata"];

/// The same below `metadata`.
const SERVERS_METADATA: &[&str] = &[
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

static SERVERS: LazyLock<FieldSet> = LazyLock::new(|| {
    let own = SERVERS_OWN.iter().map(|name| FieldSet::of(&[&[name]]));
    let metadata = SERVERS_METADATA.iter();
    let metadata = metadata.map(|name| FieldSet::of(&[&["metadata", name]]));
    let mut servers = FieldSet::default();
    own.chain(metadata).for_each(|field| servers.extend(field));
    servers
});

/// The owners themselves.
static BOOKKEEPING: LazyLock<FieldSet> =
    LazyLock::new(|| FieldSet::of(&[&["metadata", "managedFields"]]));

/// Longer names are cut.
const MAX_MANAGER: usize = 128;

/// The manager of a request: its `fieldManager`, else what stands before the
/// first `/` of its user agent, else `unknown`.
pub fn manager_or_agent<'a>(field_manager: &'a str, user_agent: &'a str) -> &'a str {
    if !field_manager.is_empty() {
        return field_manager;
    }
    let agent = user_agent.split('/').next().unwrap_or_default();
    let agent = match agent.char_indices().nth(MAX_MANAGER) {
        Some((end, _)) => &agent[..end],
        None => agent,
    };
    if agent.is_empty() { "unknown" } else { agent }
}

/// Sets `new`'s `managedFields` after a create (`live` is `None`) or an update:
/// fields that changed belong to the writer now. Call it when defaults are set
/// and before admission.
///
/// A client may drop all ownership by sending `managedFields: []` or `[{}]`, and
/// an object without any stays untracked until it is applied.
pub fn update(live: Option<&Value>, new: &mut Value, writer: &Writer<'_>, node: &Node) {
    let is_untracked = live.is_none() && new["metadata"]["managedFields"].is_null();
    if is_untracked && let Some(fields) = creator::fields(node, new, writer.reset) {
        remove_managed_fields(new);
        if is_hollow(Some(&fields)) {
            return;
        }
        return insert(new, owners::sole(writer, fields));
    }
    let mut owners = match sent_or_live(live, new, writer) {
        Some(owners) if live.is_none() || !owners.is_empty() => owners,
        _ => return remove_managed_fields(new),
    };
    remove_managed_fields(new);
    let difference = match live {
        Some(live) => difference(node, live, new, writer),
        None => difference(node, &skeleton(node), new, writer),
    };
    owners.transfer(writer, difference);
    owners.cap();
    set(new, owners);
}

/// The owners to go on from: those the client sent, else the live object's.
/// `None` when the client drops them all.
fn sent_or_live(live: Option<&Value>, new: &Value, writer: &Writer<'_>) -> Option<Owners> {
    let live = || Owners::of(live.unwrap_or(&Value::Null)).unwrap_or_default();
    if !writer.subresource.is_empty() {
        return Some(live());
    }
    let sent = &new["metadata"]["managedFields"];
    if is_reset(sent) {
        return None;
    }
    match Owners::of(new) {
        Some(owners) if !owners.is_empty() => Some(owners),
        _ => Some(live()),
    }
}

fn is_reset(sent: &Value) -> bool {
    match sent.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([Value::Object(only)]) => only.is_empty(),
        _ => false,
    }
}

/// What a write changed, as far as anybody can own it.
pub(crate) fn difference(
    node: &Node,
    before: &Value,
    after: &Value,
    writer: &Writer<'_>,
) -> Comparison {
    let mut difference = compare(node, Some(before), Some(after));
    let reset = FieldSet::of(writer.reset);
    difference.changed.subtract_below(&reset);
    difference.removed.subtract_below(&reset);
    difference.removed.subtract_below(&BOOKKEEPING);
    difference
}

/// Drops the fields of the server's own.
pub(crate) fn strip(fields: &mut FieldSet) {
    fields.subtract(&SERVERS);
    fields.member = false;
}

/// Writes the owners into an object; none at all leave no trace.
pub(crate) fn set(object: &mut Value, owners: Owners) {
    remove_managed_fields(object);
    if !owners.is_empty() {
        insert(object, owners.encode());
    }
}

fn insert(object: &mut Value, entries: Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("managedFields".to_owned(), entries);
    }
}

pub(crate) fn remove_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

#[cfg(test)]
mod tests;
