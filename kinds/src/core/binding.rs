//! Binding: asked, not stored.

use crate::errors::Errors;
use crate::kind::{Kind, Scope};
use crate::node::Node;

pub static KIND: Kind = Kind {
    kind: "Binding",
    list_kind: "BindingList",
    plural: "bindings",
    singular: "binding",
    scope: Scope::Namespaced,
    validate,
    ..Kind::REVIEW
};

/// A pod goes to a node.
pub fn validate(binding: &Node, errors: &mut Errors) {
    let target = binding.at("target");
    let kind = target.at("kind");
    if !matches!(kind.text(), "" | "Node") {
        errors.one_of(&kind, &["Node", "<empty>"]);
    }
    errors.require(&target.at("name"));
}
