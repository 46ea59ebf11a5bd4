//! LocalSubjectAccessReview: may they, in this namespace?

use crate::kind::{Kind, Scope};

pub static KIND: Kind = Kind {
    group: "authorization.k8s.io",
    kind: "LocalSubjectAccessReview",
    list_kind: "LocalSubjectAccessReviewList",
    plural: "localsubjectaccessreviews",
    singular: "localsubjectaccessreview",
    scope: Scope::Namespaced,
    validate: |review, errors| {
        let spec = review.at("spec");
        super::one_question(&spec, errors);
        super::somebody(&spec, errors);
        let namespace = spec.at("resourceAttributes.namespace");
        if namespace.text() != review.at("metadata.namespace").text() {
            errors.invalid_text(&namespace, "must match metadata.namespace");
        }
        errors.forbid(
            &spec.at("nonResourceAttributes"),
            "disallowed on this kind of request",
        );
    },
    ..Kind::REVIEW
};
