//! `authorization.k8s.io`: questions, not objects.

pub mod local_subject_access_review;
mod selectors;
pub mod self_subject_access_review;
pub mod self_subject_rules_review;
pub mod subject_access_review;

use crate::errors::Errors;
use crate::node::Node;

/// Exactly one thing is asked about.
fn one_question(spec: &Node, errors: &mut Errors) {
    let resource = spec.at("resourceAttributes");
    let path = spec.at("nonResourceAttributes");
    if resource.exists() && path.exists() {
        let why = "cannot be specified in combination with resourceAttributes";
        errors.invalid(&path, why);
    } else if !resource.exists() && !path.exists() {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.invalid(&resource, why);
    }
    selectors::validate(&resource, errors);
}

/// Somebody is asked about.
fn somebody(spec: &Node, errors: &mut Errors) {
    let user = spec.at("user");
    if user.is_empty() && spec.at("groups").is_empty() {
        errors.invalid_text(&user, "at least one of user or group must be specified");
    }
}
