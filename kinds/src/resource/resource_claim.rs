//! ResourceClaim.

mod status;

use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::requests::{default_devices, validate_devices};
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::object;
use crate::kind::{Kind, Storage, Subresource};
use crate::prepare;

pub static KIND: Kind = Kind {
    group: "resource.k8s.io",
    kind: "ResourceClaim",
    list_kind: "ResourceClaimList",
    plural: "resourceclaims",
    singular: "resourceclaim",
    subresources: &[Subresource::status((
        "resource.k8s.io",
        "v1",
        "ResourceClaim",
    ))],
    storage: Storage::Stored {
        prefix: "resourceclaims",
    },
    default: |claim| default_devices(object(claim, "spec")),
    prepare_create: |claim| claim["status"] = json!({}),
    prepare_update: prepare::keep_status_only,
    validate: |claim, errors| validate_devices(&claim.at("spec.devices"), errors),
    validate_update: |new, old, errors| {
        errors.immutable(&new.at("spec"), &old.at("spec"));
        validate_devices(&new.at("spec.devices"), errors);
    },
    validate_status_update: status::validate,
    columns: &[
        NAME,
        Column::text("State", "Whether devices are set aside, and for whom."),
        AGE,
    ],
    row,
    ..Kind::BASE
};

fn row(claim: &Value, now: Timestamp) -> Vec<Value> {
    let mut words = Vec::new();
    if meta::deletion_timestamp(claim).is_some() {
        words.push("deleted");
    }
    if meta::get(claim, "status.allocation").is_some() {
        words.push("allocated");
    }
    if !meta::items(claim, "status.reservedFor").is_empty() {
        words.push("reserved");
    }
    if words.is_empty() {
        words.push("pending");
    }
    vec![
        columns::name(claim),
        words.join(",").into(),
        columns::age(claim, now),
    ]
}
