//! SelfSubjectReview: who am I?

use crate::kind::Kind;

pub static KIND: Kind = Kind {
    group: "authentication.k8s.io",
    kind: "SelfSubjectReview",
    list_kind: "SelfSubjectReviewList",
    plural: "selfsubjectreviews",
    singular: "selfsubjectreview",
    ..Kind::REVIEW
};
