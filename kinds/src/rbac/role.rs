//! Role, and the rules it shares with ClusterRole.

use apimachinery::names;
use serde_json::Value;

use crate::errors::Errors;
use crate::kind::{Kind, Storage};
use crate::node::Node;

pub static KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    kind: "Role",
    list_kind: "RoleList",
    plural: "roles",
    singular: "role",
    storage: Storage::Stored { prefix: "roles" },
    create_on_update: true,
    name_rule: names::path_segment,
    default: rules_are_shown,
    validate: |role, errors| validate_rules(role, true, errors),
    validate_update: |new, _, errors| validate_rules(new, true, errors),
    ..Kind::BASE
};

/// A role without rules says so.
pub fn rules_are_shown(role: &mut Value) {
    if role.get("rules").is_none() && role.is_object() {
        role["rules"] = Value::Null;
    }
}

pub fn validate_rules(role: &Node, namespaced: bool, errors: &mut Errors) {
    for rule in role.at("rules").items() {
        validate_rule(&rule, namespaced, errors);
    }
}

fn validate_rule(rule: &Node, namespaced: bool, errors: &mut Errors) {
    let verbs = rule.at("verbs");
    errors.require_because(&verbs, "verbs must contain at least one value");
    let urls = rule.at("nonResourceURLs");
    let (groups, resources) = (rule.at("apiGroups"), rule.at("resources"));
    if !urls.is_empty() {
        if namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            errors.invalid(&urls, why);
        }
        if !groups.is_empty() || !resources.is_empty() || !rule.at("resourceNames").is_empty() {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(&urls, why);
        }
        return;
    }
    errors.require_because(&groups, "resource rules must supply at least one api group");
    errors.require_because(
        &resources,
        "resource rules must supply at least one resource",
    );
}
