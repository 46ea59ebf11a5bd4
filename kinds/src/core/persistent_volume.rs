//! PersistentVolume.

use apimachinery::field::{Error, Path};
use apimachinery::{Quantity, meta, names};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{self, AGE, Column, NAME};
use crate::defaults::{canonical_amounts, object, set_text};
use crate::errors::Errors;
use crate::kind::{Kind, Scope, Storage, Subresource};
use crate::node::Node;
use crate::pod_template::volume::{self, default_source};
use crate::prepare;
use crate::text_cells::plain;
use crate::warnings;

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
    warnings: warnings::persistent_volume,
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
    let name = volume.at("metadata.name").text();
    validate_spec(&volume.at("spec"), name, errors);
}

pub fn validate_spec(spec: &Node, name: &str, errors: &mut Errors) {
    let modes = spec.at("accessModes");
    errors.require(&modes);
    access_modes(&modes, errors);
    capacity(&spec.at("capacity"), errors);
    let policy = spec.at("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        errors.one_of(&policy, &["Delete", "Recycle", "Retain"]);
    }
    affinity(&spec.at("nodeAffinity"), errors);
    sources(spec, name, errors);
    errors.follows_if_set(&spec.at("storageClassName"), names::dns_subdomain);
    errors.one_of_if_set(&spec.at("volumeMode"), &["Block", "Filesystem"]);
    let class = spec.at("volumeAttributesClassName");
    if class.exists() {
        if errors.require_because(&class, "an empty string is disallowed") {
            errors.follows(&class, names::dns_subdomain);
        }
        if !spec.at("csi").exists() {
            let why = "has to be specified when using volumeAttributesClassName";
            errors.required(&spec.at("csi"), why);
        }
    }
}

fn capacity(capacity: &Node, errors: &mut Errors) {
    errors.require(capacity);
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
}

/// More than nothing.
pub fn positive(amount: &Node, errors: &mut Errors) {
    if let Ok(quantity) = Quantity::from_json(amount.value)
        && (quantity.is_zero() || quantity.is_negative())
    {
        let why = "must be greater than zero";
        errors.push(Error::invalid(&amount.path, quantity.to_string(), why));
    }
}

pub fn access_modes(modes: &Node, errors: &mut Errors) {
    for mode in modes.items() {
        if !ACCESS_MODES.contains(&mode.text()) {
            errors.push(Error::not_supported(&modes.path, mode.text(), ACCESS_MODES));
        }
    }
    let is_alone = |mode: &Node| mode.text() == "ReadWriteOncePod";
    let others = modes
        .items()
        .any(|mode| !is_alone(&mode) && ACCESS_MODES.contains(&mode.text()));
    if others && modes.items().any(|mode| is_alone(&mode)) {
        let why = "may not use ReadWriteOncePod with other access modes";
        errors.forbidden(modes, why);
    }
}

fn affinity(affinity: &Node, errors: &mut Errors) {
    if !affinity.exists() {
        return;
    }
    let required = affinity.at("required");
    if required.exists() {
        crate::pod_template::node_selector(&required, errors);
    } else {
        errors.required(&required, "must specify required node constraints");
    }
}

/// What a PersistentVolume can be made of, in the order Kubernetes looks.
const SOURCES: [&str; 23] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
    "image",
];

/// Exactly one source.
fn sources(spec: &Node, name: &str, errors: &mut Errors) {
    let mut count = 0;
    for source_name in SOURCES {
        let source = spec.at(source_name);
        if !source.exists() {
            continue;
        }
        count += 1;
        if count > 1 {
            errors.forbidden(&source, "may not specify more than 1 volume type");
            continue;
        }
        volume::persistent(source_name, &source, name, errors);
        if source_name == "local" && !spec.at("nodeAffinity").exists() {
            let why = "Local volume requires node affinity";
            errors.required(&spec.at("nodeAffinity"), why);
        }
    }
    if count == 0 {
        errors.required(spec, "must specify a volume type");
    }
    let policy = spec.at("persistentVolumeReclaimPolicy");
    let path = spec.at("hostPath.path");
    let is_root = !path.is_empty() && path.text().bytes().all(|b| b == b'/');
    if policy.text() == "Recycle" && is_root {
        errors.forbidden(&policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
}

fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    validate(new, errors);
    let (spec, before) = (new.at("spec"), old.at("spec"));
    if source_of(&spec, &before) != source_of(&before, &before) {
        let why = "spec.persistentvolumesource is immutable after creation\n";
        errors.push(Error::forbidden(
            &spec.path.child("persistentvolumesource"),
            why,
        ));
    }
    let (mode, mode_before) = (spec.at("volumeMode"), before.at("volumeMode"));
    if mode.value != mode_before.value {
        let told = Path::new("volumeMode");
        let why = "field is immutable";
        errors.push(Error::invalid(&told, mode.value.clone(), why));
    }
    let (affinity, affinity_before) = (spec.at("nodeAffinity"), before.at("nodeAffinity"));
    if affinity_before.exists()
        && stable_labels(affinity.value) != stable_labels(affinity_before.value)
    {
        let told = Path::new("nodeAffinity");
        let why = "field is immutable, except for updating from beta label to GA";
        errors.push(Error::invalid(&told, affinity.value.clone(), why));
    }
    let (class, class_before) = (
        spec.at("volumeAttributesClassName"),
        before.at("volumeAttributesClassName"),
    );
    if class_before.exists() && !class.exists() {
        errors.forbidden(&class, "update from non-nil value to nil is forbidden");
    }
}

/// What the volume is made of; a driver may learn once which secret it grows volumes with.
fn source_of(spec: &Node, before: &Node) -> Vec<Value> {
    const SECRET: &str = "controllerExpandSecretRef";
    let learns = before.at("csi").exists() && !before.at("csi").at(SECRET).exists();
    let value = |name: &&str| {
        let mut source = spec.at(name).value.clone();
        if *name == "csi" && learns {
            meta::remove(&mut source, SECRET);
        }
        source
    };
    SOURCES.iter().map(value).collect()
}

/// Labels of old and what they are called today.
const RENAMED: [(&str, &str); 5] = [
    (
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/zone",
    ),
    (
        "failure-domain.beta.kubernetes.io/region",
        "topology.kubernetes.io/region",
    ),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    (
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
    ),
];

/// A node affinity with today's names for the labels it names.
fn stable_labels(affinity: &Value) -> Value {
    let mut affinity = affinity.clone();
    let terms = affinity.pointer_mut("/required/nodeSelectorTerms");
    for term in terms.and_then(Value::as_array_mut).into_iter().flatten() {
        crate::defaults::each(term, "matchExpressions", |expression| {
            let key = meta::text(expression, "key");
            let today = RENAMED.iter().find(|(old, _)| *old == key);
            if let Some((_, today)) = today {
                expression["key"] = (*today).into();
            }
        });
    }
    affinity
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
