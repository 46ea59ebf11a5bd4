//! PersistentVolumeClaim.

use apimachinery::field::Error;
use apimachinery::{Quantity, meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::persistent_volume::{
    access_modes, add_finalizer, or_unset, positive, short_modes, status, storage_class,
};
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{canonical_amounts, object, set_text, with};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::label_selector;
use crate::node::Node;
use crate::prepare;
use crate::text_cells::plain;

pub static KIND: Kind = Kind {
    kind: "PersistentVolumeClaim",
    list_kind: "PersistentVolumeClaimList",
    plural: "persistentvolumeclaims",
    singular: "persistentvolumeclaim",
    short_names: &["pvc"],
    subresources: &[Subresource::status(("", "v1", "PersistentVolumeClaim"))],
    storage: Storage::Stored {
        prefix: "persistentvolumeclaims",
    },
    default,
    prepare_create: |claim| {
        add_finalizer(claim, "kubernetes.io/pvc-protection");
        claim["status"] = json!({"phase": "Pending"});
    },
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::text("Status", "Whether the claim has a volume."),
        Column::text("Volume", "The volume it has."),
        Column::text("Capacity", "How much the volume holds."),
        Column::text("Access Modes", "The ways the volume can be mounted."),
        Column::text("StorageClass", "StorageClass of the pvc"),
        Column::text(
            "VolumeAttributesClass",
            "The class of the volume's attributes.",
        ),
        AGE,
        Column::text(
            "VolumeMode",
            "Whether it is a file system or a block device.",
        )
        .wide(),
    ],
    row,
    ..Kind::BASE
};

fn default(claim: &mut Value) {
    let spec = object(claim, "spec");
    set_text(spec, "volumeMode", "Filesystem");
    with(spec, "resources", |resources| {
        canonical_amounts(resources, "requests");
        canonical_amounts(resources, "limits");
    });
}

fn validate(claim: &Node, errors: &mut Errors) {
    let spec = claim.at("spec");
    if spec.at("accessModes").is_empty() {
        errors.required(
            &spec.at("accessModes"),
            "at least 1 access mode is required",
        );
    } else {
        access_modes(&spec.at("accessModes"), errors);
    }
    label_selector::validate(&spec.at("selector"), errors);
    let resources = spec.at("resources");
    let requests = resources.at("requests");
    match requests.map().and_then(|requests| requests.get("storage")) {
        None => errors.push(Error::required(&resources.path.key("storage"), "")),
        Some(amount) => {
            let path = resources.path.key("storage");
            positive(
                &Node {
                    value: amount,
                    path,
                },
                errors,
            );
        }
    }
    errors.follows_if_set(&spec.at("storageClassName"), names::dns_subdomain);
    errors.one_of(&spec.at("volumeMode"), &["Block", "Filesystem"]);
    source(&spec.at("dataSource"), errors);
    source(&spec.at("dataSourceRef"), errors);
    errors.follows_if_set(&spec.at("volumeAttributesClassName"), names::dns_subdomain);
}

fn source(source: &Node, errors: &mut Errors) {
    if !source.exists() {
        return;
    }
    errors.require(&source.at("name"));
    errors.require(&source.at("kind"));
    let group = source.at("apiGroup");
    if group.is_empty() && source.at("kind").text() != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.invalid(source, why);
    }
}

const FROZEN: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let mut put_back = spec.value.clone();
    // The binder fills in the volume, and a bound claim may grow.
    if before.at("volumeName").is_empty() {
        prepare::copy_field(&mut put_back, before.value, "volumeName");
    }
    prepare::copy_field(&mut put_back, before.value, "volumeAttributesClassName");
    if old.at("status.phase").text() == "Bound" {
        prepare::copy_field(&mut put_back, before.value, "resources");
        shrinking(&spec, &before, errors);
    }
    if put_back != *before.value {
        errors.forbidden(&spec, FROZEN);
    }
}

fn shrinking(spec: &Node, before: &Node, errors: &mut Errors) {
    let amount = |spec: &Node| {
        let text = spec.at("resources.requests");
        let amount = text.map().and_then(|all| all.get("storage"));
        amount.and_then(|amount| Quantity::from_json(amount).ok())
    };
    if amount(spec) < amount(before) {
        let why = "field can not be less than status.capacity";
        let requests = spec.at("resources.requests");
        errors.push(Error::forbidden(&requests.path.child("storage"), why));
    }
}

fn row(claim: &Value, now: Timestamp) -> Vec<Value> {
    let volume = meta::text(claim, "spec.volumeName");
    let (mut capacity, mut modes) = (String::new(), String::new());
    if !volume.is_empty() {
        modes = short_modes(meta::items(claim, "status.accessModes"));
        capacity = meta::get(claim, "status.capacity.storage").map_or(String::new(), plain);
    }
    vec![
        columns::name(claim),
        status(claim).into(),
        volume.into(),
        capacity.into(),
        modes.into(),
        storage_class(claim).into(),
        or_unset(meta::text(claim, "spec.volumeAttributesClassName")).into(),
        columns::age(claim, now),
        or_unset(meta::text(claim, "spec.volumeMode")).into(),
    ]
}
