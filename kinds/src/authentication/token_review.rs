//! TokenReview: whose token is this?

use crate::kind::Kind;

pub static KIND: Kind = Kind {
    group: "authentication.k8s.io",
    kind: "TokenReview",
    list_kind: "TokenReviewList",
    plural: "tokenreviews",
    singular: "tokenreview",
    validate: |review, errors| {
        errors.require_because(&review.at("spec.token"), "");
    },
    ..Kind::REVIEW
};
