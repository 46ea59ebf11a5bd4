//! What a volume can be made of.

mod cloud;
mod files;
mod projected;
mod storage_network;

use apimachinery::names;

use super::spec::Place;
use crate::core::persistent_volume_claim;
use crate::errors::Errors;
use crate::node::Node;
use crate::object_meta;

pub use storage_network::PORTAL_TOO_LONG;

/// In the order Kubernetes looks at them, which decides which of two is one too many.
pub const NAMES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

const HOST_PATH_TYPES: &[&str] = &[
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
];

pub fn validate(name: &str, source: &Node, place: Place, errors: &mut Errors) {
    match name {
        "emptyDir" => empty_dir(source, errors),
        "gitRepo" => {
            errors.require(&source.at("repository"));
            errors.local_descending_path(&source.at("directory"));
        }
        "secret" => files::keyed(source, "secretName", errors),
        "configMap" => files::keyed(source, "name", errors),
        "downwardAPI" => files::downward(source, errors),
        "projected" => projected::validate(source, errors),
        "persistentVolumeClaim" => {
            errors.require(&source.at("claimName"));
        }
        "ephemeral" => ephemeral(&source.at("volumeClaimTemplate"), errors),
        "csi" => csi(source, errors),
        "cinder" | "storageos" => {
            shared(name, source, errors);
            let secret = source.at("secretRef");
            if secret.exists() {
                errors.require(&secret.at("name"));
            }
        }
        "image" => image(source, place, errors),
        _ => shared(name, source, errors),
    }
}

/// A source of a PersistentVolume: other namespaces' secrets are named in full.
pub fn persistent(name: &str, source: &Node, volume: &str, errors: &mut Errors) {
    match name {
        "local" => {
            let path = source.at("path");
            if errors.require(&path) {
                errors.no_backsteps(&path);
            }
        }
        "csi" => persistent_csi(source, errors),
        "iscsi" => {
            shared(name, source, errors);
            storage_network::portal_fits(source, volume, errors);
        }
        "glusterfs" => {
            shared(name, source, errors);
            cloud::endpoints_namespace(&source.at("endpointsNamespace"), errors);
        }
        "azureFile" => {
            shared(name, source, errors);
            let namespace = source.at("secretNamespace");
            if namespace.exists() {
                errors.require(&namespace);
            }
        }
        "cinder" | "storageos" => {
            shared(name, source, errors);
            let secret = source.at("secretRef");
            if secret.exists() {
                errors.require(&secret.at("name"));
                errors.require(&secret.at("namespace"));
            }
        }
        _ => shared(name, source, errors),
    }
}

/// Rules of sources that pods and PersistentVolumes have alike.
fn shared(name: &str, source: &Node, errors: &mut Errors) {
    for field in required_fields(name) {
        errors.require(&source.at(field));
    }
    match name {
        "hostPath" => host_path(source, errors),
        "nfs" if !source.at("path").text().starts_with('/') => {
            errors.invalid_text(&source.at("path"), "must be an absolute path");
        }
        "iscsi" => storage_network::iscsi(source, errors),
        "fc" => storage_network::fc(source, errors),
        "flexVolume" => cloud::flex_options(&source.at("options"), errors),
        "flocker" => cloud::flocker(source, errors),
        "quobyte" => cloud::quobyte(source, errors),
        "azureDisk" => cloud::azure_disk(source, errors),
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            errors.in_range(&source.at("partition"), 0, 255);
        }
        "storageos" => {
            errors.require_name(&source.at("volumeName"), names::dns_label);
            errors.follows_if_set(&source.at("volumeNamespace"), names::dns_label);
        }
        _ => {}
    }
}

fn required_fields(name: &str) -> &'static [&'static str] {
    match name {
        "nfs" => &["server", "path"],
        "rbd" => &["monitors", "image"],
        "cephfs" => &["monitors"],
        "glusterfs" => &["endpoints", "path"],
        "flexVolume" => &["driver"],
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "azureFile" => &["secretName", "shareName"],
        "azureDisk" => &["diskName", "diskURI"],
        "scaleIO" => &["gateway", "system", "volumeName"],
        _ => &[],
    }
}

fn empty_dir(source: &Node, errors: &mut Errors) {
    let limit = source.at("sizeLimit");
    if limit.exists()
        && let Ok(amount) = apimachinery::Quantity::from_json(limit.value)
        && amount.is_negative()
    {
        errors.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
    }
}

fn host_path(source: &Node, errors: &mut Errors) {
    let path = source.at("path");
    if !errors.require(&path) {
        return;
    }
    errors.no_backsteps(&path);
    errors.one_of_if_set(&source.at("type"), HOST_PATH_TYPES);
}

fn ephemeral(template: &Node, errors: &mut Errors) {
    if !template.exists() {
        errors.required(template, "");
        return;
    }
    let metadata = template.at("metadata");
    object_meta::validate_template(&metadata, errors);
    object_meta::only_labels_and_annotations(&metadata, errors);
    persistent_volume_claim::validate_spec(&template.at("spec"), errors);
}

/// A CSI driver is named like a domain, in any case.
pub fn csi_driver(name: &Node, errors: &mut Errors) {
    errors.require(name);
    if name.len() > names::LABEL_MAX {
        errors.push(apimachinery::field::Error::too_long(
            &name.path,
            names::LABEL_MAX,
        ));
    }
    errors.follows(name, |name| names::dns_subdomain(&name.to_lowercase()));
}

fn csi(source: &Node, errors: &mut Errors) {
    csi_driver(&source.at("driver"), errors);
    let secret = source.at("nodePublishSecretRef");
    if secret.exists() {
        errors.require_name(&secret.at("name"), names::dns_subdomain);
    }
}

fn persistent_csi(source: &Node, errors: &mut Errors) {
    csi_driver(&source.at("driver"), errors);
    errors.require(&source.at("volumeHandle"));
    for field in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        let secret = source.at(field);
        if secret.exists() {
            errors.require_name(&secret.at("name"), names::dns_subdomain);
            errors.require_name(&secret.at("namespace"), names::dns_label);
        }
    }
}

fn image(source: &Node, place: Place, errors: &mut Errors) {
    // A template may leave it to whoever makes pods of it.
    if place.is_pod() {
        errors.require(&source.at("reference"));
    }
    let policies = &["Always", "IfNotPresent", "Never"];
    errors.require_one_of(&source.at("pullPolicy"), policies);
}
