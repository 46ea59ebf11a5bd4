//! Lease.

use apimachinery::field::Error;
use apimachinery::meta;
use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Storage};
use crate::node::Node;

pub static KIND: Kind = Kind {
    group: "coordination.k8s.io",
    kind: "Lease",
    list_kind: "LeaseList",
    plural: "leases",
    singular: "lease",
    storage: Storage::Stored { prefix: "leases" },
    create_on_update: true,
    validate,
    validate_update: |new, _, errors| validate(new, errors),
    columns: &[NAME, Column::text("Holder", "Who holds the lease."), AGE],
    row,
    ..Kind::BASE
};

fn validate(lease: &Node, errors: &mut Errors) {
    let spec = lease.at("spec");
    let seconds = spec.at("leaseDurationSeconds");
    if seconds.int().is_some_and(|seconds| seconds <= 0) {
        errors.invalid(&seconds, "must be greater than 0");
    }
    let transitions = spec.at("leaseTransitions");
    errors.not_negative(&transitions);
    let (strategy, preferred) = (spec.at("strategy"), spec.at("preferredHolder"));
    if strategy.exists() && strategy.is_empty() {
        errors.push(Error::invalid(&strategy.path, "", "must not be empty"));
    }
    if !preferred.is_empty() && !strategy.exists() {
        errors.forbidden(&preferred, "can only be specified if strategy is defined");
    }
}

fn row(lease: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        columns::name(lease),
        meta::text(lease, "spec.holderIdentity").into(),
        columns::age(lease, now),
    ]
}
