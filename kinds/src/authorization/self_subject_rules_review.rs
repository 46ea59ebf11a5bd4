//! SelfSubjectRulesReview: what may I?

use crate::kind::Kind;

pub static KIND: Kind = Kind {
    group: "authorization.k8s.io",
    kind: "SelfSubjectRulesReview",
    list_kind: "SelfSubjectRulesReviewList",
    plural: "selfsubjectrulesreviews",
    singular: "selfsubjectrulesreview",
    ..Kind::REVIEW
};
