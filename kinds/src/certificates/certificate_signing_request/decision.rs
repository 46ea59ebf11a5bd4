//! What was decided of a request stays decided.

use apimachinery::meta;

use crate::errors::{Errors, Seen};
use crate::node::Node;

/// Conditions that say what became of the request, and are true or not there.
const DECISIONS: [&str; 3] = ["Approved", "Denied", "Failed"];

/// For `/approval` and `/status`.
pub fn validate(new: &Node, old: &Node, errors: &mut Errors) {
    let conditions = new.at("status.conditions");
    let mut seen = Seen::new();
    for condition in conditions.items() {
        let kind = condition.at("type");
        if !errors.require(&kind) {
            continue;
        }
        errors.unique(&kind, &mut seen);
        let supported: &[&str] = if DECISIONS.contains(&kind.text()) {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        errors.require_one_of(&condition.at("status"), supported);
    }
    let has = |of: &Node, kind: &str| {
        let mut all = meta::items(of.value, "status.conditions").iter();
        all.any(|condition| meta::text(condition, "type") == kind)
    };
    if has(new, "Approved") && has(new, "Denied") {
        let why = "Approved and Denied conditions are mutually exclusive";
        errors.invalid(&conditions, why);
    }
    for kind in DECISIONS {
        if has(old, kind) && !has(new, kind) {
            let why = format!("updates may not remove a condition of type {kind:?}");
            errors.forbidden(&conditions, why);
        }
    }
    let (now, was) = (new.at("status.certificate"), old.at("status.certificate"));
    if !was.text().is_empty() && now.text() != was.text() {
        errors.forbidden(&now, "updates may not change existing certificate content");
    }
}
