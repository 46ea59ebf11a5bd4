//! SubjectAccessReview: may they?

use crate::kind::Kind;

pub static KIND: Kind = Kind {
    group: "authorization.k8s.io",
    kind: "SubjectAccessReview",
    list_kind: "SubjectAccessReviewList",
    plural: "subjectaccessreviews",
    singular: "subjectaccessreview",
    validate: |review, errors| {
        let spec = review.at("spec");
        super::one_question(&spec, errors);
        super::somebody(&spec, errors);
    },
    ..Kind::REVIEW
};
