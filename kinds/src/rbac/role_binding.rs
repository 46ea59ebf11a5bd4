//! RoleBinding.

use apimachinery::names;

use super::binding_rules::{COLUMNS, default, row, validate, validate_update};
use crate::kind::{Kind, Storage};

/// What may be bound.
const ROLES: &[&str] = &["Role", "ClusterRole"];

pub static KIND: Kind = Kind {
    group: "rbac.authorization.k8s.io",
    kind: "RoleBinding",
    list_kind: "RoleBindingList",
    plural: "rolebindings",
    singular: "rolebinding",
    storage: Storage::Stored {
        prefix: "rolebindings",
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
