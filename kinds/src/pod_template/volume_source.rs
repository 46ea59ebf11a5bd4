//! What a volume can be made of.

use apimachinery::field::Error;

use super::env;
use crate::errors::{Errors, Seen};
use crate::node::Node;

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
    "flexVolume",
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

pub fn validate(name: &str, source: &Node, errors: &mut Errors) {
    match name {
        "emptyDir" => empty_dir(source, errors),
        "hostPath" => host_path(source, errors),
        "secret" => keyed(source, "secretName", errors),
        "configMap" => keyed(source, "name", errors),
        "downwardAPI" => {
            mode(&source.at("defaultMode"), errors);
            downward_files(&source.at("items"), errors);
        }
        "projected" => projected(source, errors),
        "persistentVolumeClaim" => {
            errors.require(&source.at("claimName"));
        }
        "ephemeral" => {
            errors.require(&source.at("volumeClaimTemplate"));
        }
        "csi" => csi(source, errors),
        "image" => {
            errors.require(&source.at("reference"));
            let policies = &["Always", "IfNotPresent", "Never"];
            errors.one_of_if_set(&source.at("pullPolicy"), policies);
        }
        _ => shared(name, source, errors),
    }
}

/// Sources that PersistentVolumes have too.
pub fn shared(name: &str, source: &Node, errors: &mut Errors) {
    for field in required_fields(name) {
        errors.require(&source.at(field));
    }
    if name == "nfs" && !source.at("path").text().starts_with('/') && !source.at("path").is_empty()
    {
        errors.invalid(&source.at("path"), "must be an absolute path");
    }
}

fn required_fields(name: &str) -> &'static [&'static str] {
    match name {
        "nfs" => &["server", "path"],
        "iscsi" => &["targetPortal", "iqn"],
        "rbd" => &["monitors", "image"],
        "cephfs" => &["monitors"],
        "glusterfs" => &["endpoints", "path"],
        "gitRepo" => &["repository"],
        "flexVolume" => &["driver"],
        "gcePersistentDisk" => &["pdName"],
        "awsElasticBlockStore" | "cinder" | "portworxVolume" => &["volumeID"],
        "vsphereVolume" => &["volumePath"],
        "photonPersistentDisk" => &["pdID"],
        "azureFile" => &["secretName", "shareName"],
        "azureDisk" => &["diskName", "diskURI"],
        "quobyte" => &["registry", "volume"],
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

pub fn host_path(source: &Node, errors: &mut Errors) {
    let path = source.at("path");
    if !errors.require(&path) {
        return;
    }
    errors.no_backsteps(&path);
    errors.one_of_if_set(&source.at("type"), HOST_PATH_TYPES);
}

/// 0 to 0777.
fn mode(mode: &Node, errors: &mut Errors) {
    if mode.int().is_some_and(|bits| !(0..=0o777).contains(&bits)) {
        errors.invalid(
            mode,
            "must be a number between 0 and 0777 (octal), both inclusive",
        );
    }
}

fn keyed(source: &Node, name: &str, errors: &mut Errors) {
    errors.require(&source.at(name));
    mode(&source.at("defaultMode"), errors);
    keys_to_paths(&source.at("items"), errors);
}

fn keys_to_paths(items: &Node, errors: &mut Errors) {
    for item in items.items() {
        errors.require(&item.at("key"));
        let path = item.at("path");
        if errors.require(&path) {
            errors.local_non_reserved_path(&path);
        }
        mode(&item.at("mode"), errors);
    }
}

fn downward_files(items: &Node, errors: &mut Errors) {
    for item in items.items() {
        let path = item.at("path");
        if errors.require(&path) {
            errors.local_non_reserved_path(&path);
        }
        let (field, resource) = (item.at("fieldRef"), item.at("resourceFieldRef"));
        match (field.exists(), resource.exists()) {
            (true, true) => {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(Error::invalid(&items.path, "resource", why));
            }
            (true, false) => env::volume_field_ref(&field, errors),
            (false, true) => {
                errors.require(&resource.at("containerName"));
                env::resource_ref(&resource, errors);
            }
            (false, false) => {
                errors.required(&field, "one of fieldRef and resourceFieldRef is required");
            }
        }
        mode(&item.at("mode"), errors);
    }
}

fn csi(source: &Node, errors: &mut Errors) {
    errors.require(&source.at("driver"));
    let secret = source.at("nodePublishSecretRef");
    if secret.exists() {
        errors.require(&secret.at("name"));
    }
}

fn projected(source: &Node, errors: &mut Errors) {
    mode(&source.at("defaultMode"), errors);
    let mut paths = Seen::new();
    for source in source.at("sources").items() {
        projection(&source, errors);
        unique_paths(&source, &mut paths, errors);
    }
}

fn projection(source: &Node, errors: &mut Errors) {
    let kinds = [
        "secret",
        "configMap",
        "downwardAPI",
        "serviceAccountToken",
        "clusterTrustBundle",
        "podCertificate",
    ];
    let mut count = 0;
    for kind in kinds {
        let part = source.at(kind);
        if !part.exists() {
            continue;
        }
        count += 1;
        if count > 1 {
            errors.forbidden(&part, "may not specify more than 1 volume type");
            continue;
        }
        match kind {
            "secret" | "configMap" => {
                errors.require(&part.at("name"));
                keys_to_paths(&part.at("items"), errors);
            }
            "downwardAPI" => downward_files(&part.at("items"), errors),
            "serviceAccountToken" => token(&part, errors),
            _ => {}
        }
    }
    if count == 0 {
        errors.required(source, "must specify a volume type");
    }
}

fn token(token: &Node, errors: &mut Errors) {
    let seconds = token.at("expirationSeconds");
    let value = seconds.int().unwrap_or(3600);
    if value < 600 {
        errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
    } else if value > 1 << 32 {
        errors.invalid(
            &seconds,
            "may not specify a duration larger than 2^32 seconds",
        );
    }
    let path = token.at("path");
    if errors.require(&path) {
        errors.local_non_reserved_path(&path);
    }
}

/// Two sources must not write the same file.
fn unique_paths(source: &Node, seen: &mut Seen, errors: &mut Errors) {
    for kind in ["secret", "configMap", "downwardAPI"] {
        for item in source.at(kind).at("items").items() {
            conflict(source, item.at("path").text(), seen, errors);
        }
    }
    conflict(
        source,
        source.at("serviceAccountToken.path").text(),
        seen,
        errors,
    );
}

fn conflict(source: &Node, path: &str, seen: &mut Seen, errors: &mut Errors) {
    if !path.is_empty() && !seen.insert(path.to_owned()) {
        let why = format!("conflicting duplicate paths: {path}");
        errors.push(Error::invalid(&source.path, path, why));
    }
}
