//! Moving from kubectl's client-side apply to server-side apply.
//!
//! Client-side apply keeps what it applied in an annotation. Fields in there are
//! kubectl's although its `Update` entry (under another manager name) owns them,
//! so `kubectl apply --server-side` takes them over without a conflict.

use schema::Node;
use serde_json::Value;

use crate::typed::{compare, field_set};
use crate::{Conflict, Writer};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The only manager that has the annotation to move from.
const KUBECTL: &str = "kubectl";

/// Larger annotations are not kept.
const MAX_BYTES: usize = 262_144;

/// The conflicts over fields that the annotation does not explain.
pub(super) fn unexplained(
    conflicts: Vec<Conflict>,
    live: &Value,
    writer: &Writer<'_>,
    node: &Node,
) -> Vec<Conflict> {
    let Some(last) = of(live).filter(|_| writer.manager == KUBECTL) else {
        return conflicts;
    };
    let Ok(mut last) = serde_json::from_str::<Value>(last) else {
        return conflicts;
    };
    if last["apiVersion"] != writer.api_version {
        return conflicts;
    }
    let _ = schema::decode(node, &mut last);
    // What was changed since is no longer what was applied.
    let since = compare(node, Some(&last), Some(live));
    let mut explained = field_set(node, &last);
    explained.subtract(&since.changed);
    explained.subtract(&since.removed);
    let explained = explained.paths();
    let is_unexplained = |conflict: &Conflict| !explained.contains(&conflict.field);
    conflicts.into_iter().filter(is_unexplained).collect()
}

/// Brings the annotation, where there is one, to what is applied now, so that a
/// later client-side apply starts from the truth.
pub(super) fn refresh(after: &mut Value, applied: &Value, writer: &Writer<'_>) {
    if writer.manager != KUBECTL || of(after).is_none() {
        return;
    }
    let mut text = applied.to_string();
    text.push('\n');
    let annotations = after["metadata"]["annotations"].as_object_mut();
    let annotations = annotations.expect("the annotation was found above");
    if text.len() > MAX_BYTES {
        annotations.remove(ANNOTATION);
    } else {
        annotations.insert(ANNOTATION.to_owned(), text.into());
    }
}

fn of(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][ANNOTATION].as_str()
}
