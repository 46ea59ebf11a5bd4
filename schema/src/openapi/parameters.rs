//! The query and path parameters of the API.

use serde_json::{Value, json};

use super::Dialect;

/// A query parameter: name, type, what it is for.
type Row = (&'static str, &'static str, &'static str);

const PRETTY: Row = ("pretty", "string", "If 'true', the answer is indented.");
const DRY_RUN: Row = (
    "dryRun",
    "string",
    "With 'All' the request is checked and answered, and nothing is stored.",
);
const FIELD_MANAGER: Row = (
    "fieldManager",
    "string",
    "Who makes the change; kept in managedFields. Required for apply patches.",
);
const FIELD_VALIDATION: Row = (
    "fieldValidation",
    "string",
    "What to do with unknown or duplicate fields: Ignore, Warn or Strict.",
);
const FORCE: Row = (
    "force",
    "boolean",
    "Takes over fields that conflict. For apply patches only.",
);
const LIMIT: Row = (
    "limit",
    "integer",
    "The most items to return; more are reached through 'continue'.",
);
const CONTINUE: Row = (
    "continue",
    "string",
    "Goes on with a list where the answer that carried this value ended.",
);
const FIELD_SELECTOR: Row = (
    "fieldSelector",
    "string",
    "Restricts the objects by their fields.",
);
const LABEL_SELECTOR: Row = (
    "labelSelector",
    "string",
    "Restricts the objects by their labels.",
);
const VERSION: Row = (
    "resourceVersion",
    "string",
    "The version to read at or to watch from.",
);
const VERSION_MATCH: Row = (
    "resourceVersionMatch",
    "string",
    "How resourceVersion applies to a list: Exact or NotOlderThan.",
);
const TIMEOUT: Row = (
    "timeoutSeconds",
    "integer",
    "Ends a list or watch after so many seconds.",
);
const WATCH: Row = ("watch", "boolean", "Streams changes instead of listing.");
const BOOKMARKS: Row = (
    "allowWatchBookmarks",
    "boolean",
    "Lets a watch carry BOOKMARK events.",
);
const INITIAL: Row = (
    "sendInitialEvents",
    "boolean",
    "Lets a watch begin with the objects that exist.",
);
const GRACE: Row = (
    "gracePeriodSeconds",
    "integer",
    "The seconds before the object is deleted; zero is at once.",
);
const ORPHAN: Row = (
    "orphanDependents",
    "boolean",
    "Deprecated: use propagationPolicy.",
);
const PROPAGATION: Row = (
    "propagationPolicy",
    "string",
    "What becomes of dependents: Orphan, Background or Foreground.",
);

pub(super) const COMMON: &[Row] = &[PRETTY];
pub(super) const WRITE: &[Row] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
pub(super) const PATCH: &[Row] = &[DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
pub(super) const DELETE: &[Row] = &[DRY_RUN, GRACE, ORPHAN, PROPAGATION];
pub(super) const LIST: &[Row] = &[
    BOOKMARKS,
    CONTINUE,
    FIELD_SELECTOR,
    LABEL_SELECTOR,
    LIMIT,
    VERSION,
    VERSION_MATCH,
    INITIAL,
    TIMEOUT,
    WATCH,
];
pub(super) const DELETE_COLLECTION: &[Row] = &[
    CONTINUE,
    DRY_RUN,
    FIELD_SELECTOR,
    GRACE,
    LABEL_SELECTOR,
    LIMIT,
    ORPHAN,
    PROPAGATION,
    VERSION,
    VERSION_MATCH,
    INITIAL,
    TIMEOUT,
];

pub(super) fn query(dialect: Dialect, rows: &[Row]) -> Vec<Value> {
    let parameter = |&(name, kind, description): &Row| {
        let parameter = json!({"name": name, "in": "query", "description": description});
        typed(dialect, parameter, kind)
    };
    rows.iter().map(parameter).collect()
}

pub(super) fn path(dialect: Dialect, name: &str, description: &str) -> Value {
    let parameter =
        json!({"name": name, "in": "path", "required": true, "description": description});
    typed(dialect, parameter, "string")
}

fn typed(dialect: Dialect, mut parameter: Value, kind: &str) -> Value {
    match dialect {
        Dialect::V2 => {
            parameter["type"] = kind.into();
            parameter["uniqueItems"] = true.into();
        }
        Dialect::V3 => parameter["schema"] = json!({"type": kind, "uniqueItems": true}),
    }
    parameter
}
