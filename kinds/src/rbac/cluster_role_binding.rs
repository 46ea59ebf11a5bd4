//! ClusterRoleBinding.

use apimachinery::names;

use super::binding_rules::{COLUMNS, default, row, validate, validate_update};
use crate::kind::{Kind, Scope, Storage};

/// What may be bound.
const ROLES: &[&str] = &["ClusterRole"];

pub static KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    kind: "ClusterRoleBinding",
    list_kind: "ClusterRoleBindingList",
    plural: "clusterrolebindings",
    singular: "clusterrolebinding",
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "clusterrolebindings",
    },
    create_on_update: true,
    name_rule: names::path_segment,
    default,
    validate: |binding, errors| validate(binding, ROLES, errors),
    validate_update: |new, old, errors| validate_update(new, old, ROLES, errors),
    columns: COLUMNS,
    row,
    ..Kind::BASE
};
