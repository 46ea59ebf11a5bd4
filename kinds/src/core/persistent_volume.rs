//! PersistentVolume.

use apimachinery::field::Error;
use apimachinery::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{canonical_amounts, object, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::pod_template::volume::{SOURCE_NAMES, default_source, host_path, shared_source};
use crate::prepare;
use crate::text_cells::plain;

pub static KIND: Kind = Kind {
    kind: "PersistentVolume",
    list_kind: "PersistentVolumeList",
    plural: "persistentvolumes",
    singular: "persistentvolume",
    short_names: &["pv"],
    scope: Scope::Cluster,
    subresources: &[Subresource::status(("", "v1", "PersistentVolume"))],
    storage: Storage::Stored {
        prefix: "persistentvolumes",
    },
    default,
    prepare_create: |volume| {
        add_finalizer(volume, "kubernetes.io/pv-protection");
        volume["status"] = json!({"phase": "Pending"});
    },
    prepare_update: prepare::keep_status_only,
    validate,
    validate_update,
    columns: &[
        NAME,
        Column::text("Capacity", "How much it holds."),
        Column::text("Access Modes", "All the ways it can be mounted."),
        Column::text(
            "Reclaim Policy",
            "What happens to it when its claim is gone.",
        ),
        Column::text("Status", "Whether it is available, bound or released."),
        Column::text("Claim", "Who has it."),
        Column::text("StorageClass", "StorageClass of the pv"),
        Column::text("VolumeAttributesClass", "The class of its attributes."),
        Column::text("Reason", "Why, if something failed."),
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

/// What is in use must not vanish at once.
pub fn add_finalizer(object: &mut Value, name: &str) {
    let mut finalizers: Vec<Value> = meta::finalizers(object).map(Value::from).collect();
    if !finalizers.iter().any(|finalizer| finalizer == name) {
        finalizers.push(name.into());
        meta::set_meta(object, "finalizers", finalizers);
    }
}

fn default(volume: &mut Value) {
    let spec = object(volume, "spec");
    set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    set_text(spec, "volumeMode", "Filesystem");
    canonical_amounts(spec, "capacity");
    default_source(spec);
}

pub const ACCESS_MODES: &[&str] = &[
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

fn validate(volume: &Node, errors: &mut Errors) {
    let spec = volume.at("spec");
    access_modes(&spec.at("accessModes"), errors);
    let capacity = spec.at("capacity");
    errors.require(&capacity);
    let has_storage = capacity
        .map()
        .is_some_and(|all| all.contains_key("storage"));
    if !has_storage || capacity.len() > 1 {
        let shown = capacity.value.clone();
        errors.push(Error::not_supported(&capacity.path, shown, &["storage"]));
    }
    for (_, amount) in capacity.entries() {
        positive(&amount, errors);
    }
    let policy = spec.at("persistentVolumeReclaimPolicy");
    errors.one_of(&policy, &["Delete", "Recycle", "Retain"]);
    affinity(&spec, errors);
    sources(&spec, errors);
    errors.one_of(&spec.at("volumeMode"), &["Block", "Filesystem"]);
    let class = spec.at("storageClassName");
    errors.follows_if_set(&class, apimachinery::names::dns_subdomain);
}

pub fn positive(amount: &Node, errors: &mut Errors) {
    if let Some(quantity) = errors.amount(amount)
        && quantity.is_zero()
    {
        errors.push(Error::invalid(
            &amount.path,
            "0",
            "must be greater than zero",
        ));
    }
}

pub fn access_modes(modes: &Node, errors: &mut Errors) {
    errors.require(modes);
    for mode in modes.items() {
        if !ACCESS_MODES.contains(&mode.text()) {
            errors.push(Error::not_supported(&modes.path, mode.text(), ACCESS_MODES));
        }
    }
    let alone = modes.items().any(|mode| mode.text() == "ReadWriteOncePod");
    if alone && modes.len() > 1 {
        let why = "may not use ReadWriteOncePod with other access modes";
        errors.forbidden(modes, why);
    }
}

fn affinity(spec: &Node, errors: &mut Errors) {
    let affinity = spec.at("nodeAffinity");
    if !affinity.exists() {
        if spec.at("local").exists() {
            errors.required(&affinity, "Local volume requires node affinity");
        }
        return;
    }
    let required = affinity.at("required");
    if required.exists() {
        crate::pod_template::node_selector(&required, errors);
    } else {
        errors.required(&required, "must specify required node constraints");
    }
}

/// Exactly one source, from those a pod can have too, or `local`.
fn sources(spec: &Node, errors: &mut Errors) {
    let mut count = 0;
    for name in SOURCE_NAMES.iter().copied().chain(["local"]) {
        let source = spec.at(name);
        if !source.exists() {
            continue;
        }
        count += 1;
        if count > 1 {
            errors.forbidden(&source, "may not specify more than 1 volume type");
            continue;
        }
        match name {
            "hostPath" => host_path(&source, errors),
            "local" => {
                let path = source.at("path");
                if errors.require(&path) {
                    errors.no_backsteps(&path);
                }
            }
            "csi" => {
                errors.require(&source.at("driver"));
                errors.require(&source.at("volumeHandle"));
            }
            _ => shared_source(name, &source, errors),
        }
    }
    if count == 0 {
        errors.required(spec, "must specify a volume type");
    }
    let recycle = spec.at("persistentVolumeReclaimPolicy").text() == "Recycle";
    if recycle && spec.at("hostPath.path").text() == "/" {
        let policy = spec.at("persistentVolumeReclaimPolicy");
        errors.forbidden(&policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let source = |spec: &Node| -> Vec<Value> {
        let names = SOURCE_NAMES.iter().copied().chain(["local"]);
        names.map(|name| spec.at(name).value.clone()).collect()
    };
    if source(&spec) != source(&before) {
        let why = "spec.persistentvolumesource is immutable after creation";
        errors.push(Error::forbidden(
            &spec.path.child("persistentvolumesource"),
            why,
        ));
    }
    errors.immutable(&spec.at("volumeMode"), &before.at("volumeMode"));
    if before.at("nodeAffinity").exists() {
        errors.immutable(&spec.at("nodeAffinity"), &before.at("nodeAffinity"));
    }
}

/// `RWO,ROX`.
pub fn short_modes(modes: &[Value]) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| modes.iter().any(|have| have == mode);
    let short: Vec<&str> = known
        .iter()
        .filter(|(mode, _)| has(mode))
        .map(|(_, s)| *s)
        .collect();
    short.join(",")
}

pub const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub fn storage_class(object: &Value) -> &str {
    meta::annotation(object, CLASS_ANNOTATION)
        .unwrap_or_else(|| meta::text(object, "spec.storageClassName"))
}

pub fn status(object: &Value) -> &str {
    if meta::deletion_timestamp(object).is_some() {
        return "Terminating";
    }
    meta::text(object, "status.phase")
}

fn row(volume: &Value, now: Timestamp) -> Vec<Value> {
    let claim = match meta::text(volume, "spec.claimRef.name") {
        "" => String::new(),
        name => format!("{}/{name}", meta::text(volume, "spec.claimRef.namespace")),
    };
    let class = meta::text(volume, "spec.volumeAttributesClassName");
    vec![
        columns::name(volume),
        meta::get(volume, "spec.capacity.storage")
            .map_or(String::new(), plain)
            .into(),
        short_modes(meta::items(volume, "spec.accessModes")).into(),
        meta::text(volume, "spec.persistentVolumeReclaimPolicy").into(),
        status(volume).into(),
        claim.into(),
        storage_class(volume).into(),
        if class.is_empty() { "<unset>" } else { class }.into(),
        meta::text(volume, "status.reason").into(),
        columns::age(volume, now),
        or_unset(meta::text(volume, "spec.volumeMode")).into(),
    ]
}

pub fn or_unset(text: &str) -> &str {
    if text.is_empty() { "<unset>" } else { text }
}
