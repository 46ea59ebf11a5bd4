//! MutatingAdmissionPolicyBinding.

use super::policy::{BINDING_COLUMNS, binding_row, default_binding, validate_binding};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "admissionregistration.k8s.io",
    kind: "MutatingAdmissionPolicyBinding",
    list_kind: "MutatingAdmissionPolicyBindingList",
    plural: "mutatingadmissionpolicybindings",
    singular: "mutatingadmissionpolicybinding",
    categories: &["api-extensions"],
    scope: Scope::Cluster,
    storage: Storage::Stored {
        prefix: "mutatingadmissionpolicybindings",
    },
    default: default_binding,
    prepare_create: prepare::new_generation,
    prepare_update: prepare::bump_on_spec,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: BINDING_COLUMNS,
    row: binding_row,
    ..Kind::BASE
};

fn validate(binding: &Node, errors: &mut Errors) {
    let spec = binding.at("spec");
    validate_binding(&spec, errors);
}
