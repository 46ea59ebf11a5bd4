//! SelfSubjectAccessReview: may I?

use crate::kind::Kind;

pub static KIND: Kind = Kind {
    group: "authorization.k8s.io",
    kind: "SelfSubjectAccessReview",
    list_kind: "SelfSubjectAccessReviewList",
    plural: "selfsubjectaccessreviews",
    singular: "selfsubjectaccessreview",
    validate: |review, errors| super::one_question(&review.at("spec"), errors),
    ..Kind::REVIEW
};
