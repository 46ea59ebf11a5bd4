//! ServiceCIDR: ranges that Services get their addresses from.

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "networking.k8s.io",
    kind: "ServiceCIDR",
    list_kind: "ServiceCIDRList",
    plural: "servicecidrs",
    singular: "servicecidr",
    scope: Scope::Cluster,
    subresources: &[Subresource::status((
        "networking.k8s.io",
        "v1",
        "ServiceCIDR",
    ))],
    storage: Storage::Stored {
        prefix: "servicecidrs",
    },
    prepare_create: |range| range["status"] = json!({}),
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("spec.cidrs"), &old.at("spec.cidrs"));
    },
    columns: &[NAME, Column::text("CIDRs", "The ranges."), AGE],
    row,
    ..Kind::BASE
};

fn validate(range: &Node, errors: &mut Errors) {
    let cidrs = range.at("spec.cidrs");
    if !errors.require_because(&cidrs, "at least one CIDR required") {
        return;
    }
    if cidrs.len() > 2 {
        errors.invalid(&cidrs, "may only hold up to 2 values");
    }
    for cidr in cidrs.items() {
        errors.cidr(&cidr);
    }
}

fn row(range: &Value, now: Timestamp) -> Vec<Value> {
    let cidrs = meta::items(range, "spec.cidrs")
        .iter()
        .filter_map(Value::as_str);
    let cidrs = cidrs.collect::<Vec<_>>().join(",");
    vec![columns::name(range), cidrs.into(), columns::age(range, now)]
}
