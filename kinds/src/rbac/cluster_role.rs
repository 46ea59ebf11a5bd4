//! ClusterRole.

use apimachinery::names;

use super::role::{rules_are_shown, validate_rules};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::label_selector;
use crate::node::Node;

pub static KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    kind: "ClusterRole",
    list_kind: "ClusterRoleList",
    plural: "clusterroles",
    singular: "clusterrole",
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "clusterroles",
    },
    create_on_update: true,
    name_rule: names::path_segment,
    default: rules_are_shown,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    ..Kind::BASE
};

fn validate(role: &Node, errors: &mut Errors) {
    validate_rules(role, false, errors);
    let aggregation = role.at("aggregationRule");
    if !aggregation.exists() {
        return;
    }
    let selectors = aggregation.at("clusterRoleSelectors");
    errors.require_because(
        &selectors,
        "at least one clusterRoleSelector required if aggregationRule is non-nil",
    );
    for selector in selectors.items() {
        label_selector::validate(&selector, errors);
    }
}
