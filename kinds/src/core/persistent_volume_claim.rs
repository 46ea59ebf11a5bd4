//! PersistentVolumeClaim.

use apimachinery::field::Error;
use apimachinery::{Quantity, meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::persistent_volume::{
    CLASS_ANNOTATION, access_modes, add_finalizer, or_unset, positive, short_modes, status,
    storage_class,
};
use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{canonical_amounts, object, set_text, with};
use crate::errors::Errors;
use crate::kind::{Kind, Storage, Subresource};
use crate::label_selector;
use crate::node::Node;
use crate::prepare;
use crate::text_cells::plain;
use crate::warnings;

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
    validate_status_update: validate_status,
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
    warnings: warnings::claim,
    ..Kind::BASE
};

fn default(claim: &mut Value) {
    let spec = object(claim, "spec");
    default_spec(spec);
}

/// What a claim's spec is filled in with, in templates too.
pub fn default_spec(spec: &mut Value) {
    set_text(spec, "volumeMode", "Filesystem");
    with(spec, "resources", |resources| {
        canonical_amounts(resources, "requests");
        canonical_amounts(resources, "limits");
    });
}

fn validate(claim: &Node, errors: &mut Errors) {
    validate_spec(&claim.at("spec"), errors);
}

/// Rules on the spec, which templates of claims hold too.
pub fn validate_spec(spec: &Node, errors: &mut Errors) {
    let modes = spec.at("accessModes");
    errors.require_because(&modes, "at least 1 access mode is required");
    label_selector::validate(&spec.at("selector"), errors);
    access_modes(&modes, errors);
    size(&spec.at("resources"), errors);
    errors.follows_if_set(&spec.at("storageClassName"), names::dns_subdomain);
    errors.one_of_if_set(&spec.at("volumeMode"), &["Block", "Filesystem"]);
    let (from, reference) = (spec.at("dataSource"), spec.at("dataSourceRef"));
    source(&from, errors);
    source(&reference, errors);
    errors.follows_if_set(&reference.at("namespace"), names::dns_label);
    one_source(spec, &from, &reference, errors);
    errors.follows_if_set(&spec.at("volumeAttributesClassName"), names::dns_subdomain);
}

fn size(resources: &Node, errors: &mut Errors) {
    let requests = resources.at("requests");
    // Kubernetes leaves `requests` out of the path.
    let path = resources.path.key("storage");
    match requests.map().and_then(|requests| requests.get("storage")) {
        None => errors.push(Error::required(&path, "")),
        Some(value) => positive(&Node::new(value, path), errors),
    }
}

fn source(source: &Node, errors: &mut Errors) {
    if !source.exists() {
        return;
    }
    errors.require(&source.at("name"));
    let kind = source.at("kind");
    errors.require(&kind);
    let group = source.at("apiGroup");
    if group.is_empty() && kind.text() != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(&source.path, kind.text(), why));
    }
    errors.follows_if_set(&group, names::dns_subdomain);
}

/// The old field and the new one say the same, or only the new one speaks.
fn one_source(spec: &Node, from: &Node, reference: &Node, errors: &mut Errors) {
    if !from.exists() || !reference.exists() {
        return;
    }
    let same = ["apiGroup", "kind", "name"]
        .iter()
        .all(|field| from.at(field).value == reference.at(field).value);
    let why = if !reference.at("namespace").is_empty() {
        "may not be specified when dataSourceRef.namespace is specified"
    } else if !same {
        "must match dataSourceRef"
    } else {
        return;
    };
    errors.push(Error::invalid(&spec.path, from.path.to_string(), why));
}

const FROZEN: &str = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let (put_back, was) = (may_change(new, old), claim_before(new, old));
    class_annotation(new, old, errors);
    if put_back != was {
        errors.forbidden(&spec, FROZEN);
    }
    shrinking(&spec, old, errors);
    let (mode, mode_before) = (spec.at("volumeMode"), before.at("volumeMode"));
    if mode.value != mode_before.value {
        let told = apimachinery::field::Path::new("volumeMode");
        let why = "field is immutable";
        errors.push(Error::invalid(&told, mode.value.clone(), why));
    }
    attributes_class(&spec, &before, errors);
}

/// The spec with everything put back that may change.
fn may_change(new: &Node, old: &Node) -> Value {
    let before = old.at("spec").value;
    let mut spec = new.at("spec").value.clone();
    // A claim without a class may get one, the one its annotation names if there is one.
    let class = new.at("spec.storageClassName");
    let annotated = meta::annotation(old.value, CLASS_ANNOTATION);
    let fits = annotated.is_none_or(|annotated| annotated == class.text());
    if class.exists() && before.get("storageClassName").is_none() && fits {
        prepare::copy_field(&mut spec, before, "storageClassName");
    }
    if new.at("status.phase").text() == "Bound" {
        let storage = before.pointer("/resources/requests/storage").cloned();
        if let (Some(now), Some(storage)) =
            (spec.pointer_mut("/resources/requests/storage"), storage)
        {
            *now = storage;
        }
        if spec.get("volumeAttributesClassName").is_some() {
            prepare::copy_field(&mut spec, before, "volumeAttributesClassName");
        }
    }
    spec
}

/// The binder fills in the volume, once.
fn claim_before(new: &Node, old: &Node) -> Value {
    let mut before = old.at("spec").value.clone();
    if old.at("spec.volumeName").is_empty() {
        prepare::copy_field(&mut before, new.at("spec").value, "volumeName");
    }
    before
}

fn class_annotation(new: &Node, old: &Node, errors: &mut Errors) {
    let annotated = |claim: &Node| {
        meta::annotation(claim.value, CLASS_ANNOTATION)
            .unwrap_or("")
            .to_owned()
    };
    let (now, was) = (annotated(new), annotated(old));
    let upgraded = old.at("spec.storageClassName").is_empty()
        && new.at("spec.storageClassName").text() == was
        && now.is_empty();
    if now != was && !upgraded {
        let annotations = new.at("metadata.annotations");
        let told = annotations.path.child(CLASS_ANNOTATION);
        errors.push(Error::invalid(&told, now, "field is immutable"));
    }
}

/// A claim whose growth failed may ask for less again, but more than it has.
fn shrinking(spec: &Node, old: &Node, errors: &mut Errors) {
    let amount = |parent: &Node, path: &str| {
        let amount = parent.value.pointer(path).cloned().unwrap_or_default();
        Quantity::from_json(&amount).unwrap_or_default()
    };
    let requested = "/resources/requests/storage";
    let now = amount(spec, requested);
    let was = amount(&old.at("spec"), requested);
    let has = amount(&old.at("status"), "/capacity/storage");
    if now < was && now <= has {
        let why = "field can not be less than status.capacity";
        let requests = spec.at("resources.requests");
        errors.push(Error::forbidden(&requests.path.child("storage"), why));
    }
}

fn attributes_class(spec: &Node, before: &Node, errors: &mut Errors) {
    let (now, was) = (
        spec.at("volumeAttributesClassName"),
        before.at("volumeAttributesClassName"),
    );
    if !was.is_empty() && !now.exists() {
        errors.forbidden(&now, "update from non-nil value to nil is forbidden");
    } else if !was.is_empty() && now.is_empty() {
        let why = "update from non-nil value to an empty string is forbidden";
        errors.forbidden(&now, why);
    }
}

const RESIZES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

fn validate_status(new: &Node, _: &Node, errors: &mut Errors) {
    let status = new.at("status");
    for (_, amount) in status.at("capacity").entries() {
        not_negative(&amount, errors);
    }
    let resizes = status.at("allocatedResourceStatuses");
    let told = status.path.child("allocatedResourceStatus");
    for (name, word) in resizes.entries() {
        storage_only(name, &told, errors);
        if !RESIZES.contains(&word.text()) {
            errors.push(Error::not_supported(&told, name, RESIZES));
        }
    }
    let allocated = status.at("allocatedResources");
    for (name, amount) in allocated.entries() {
        storage_only(name, &allocated.path, errors);
        not_negative(&amount, errors);
    }
}

fn not_negative(amount: &Node, errors: &mut Errors) {
    if let Ok(quantity) = Quantity::from_json(amount.value)
        && quantity.is_negative()
    {
        let why = "must be a valid resource quantity";
        errors.push(Error::invalid(&amount.path, quantity.value(), why));
    }
}

/// Of Kubernetes' own resources a claim has storage only.
fn storage_only(name: &str, path: &apimachinery::field::Path, errors: &mut Errors) {
    for problem in names::qualified(name) {
        errors.push(Error::invalid(path, name, problem));
    }
    if crate::resource_names::is_native(name) && name != "storage" {
        errors.push(Error::not_supported(path, name, &["storage"]));
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
