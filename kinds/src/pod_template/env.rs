//! Environment variables and where their values come from.

use apimachinery::field::Error;
use apimachinery::names;

use super::resources;
use crate::errors::Errors;
use crate::node::Node;

const FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const VOLUME_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];
/// What a `fieldRef` can be at all; fewer of them make sense in each place.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

pub fn validate(vars: &Node, errors: &mut Errors) {
    for var in vars.items() {
        errors.require_name(&var.at("name"), names::env_var);
        let source = var.at("valueFrom");
        if source.exists() {
            value_from(&var, &source, errors);
        }
    }
}

fn value_from(var: &Node, source: &Node, errors: &mut Errors) {
    let sources = [
        "fieldRef",
        "resourceFieldRef",
        "configMapKeyRef",
        "secretKeyRef",
        "fileKeyRef",
    ];
    let set = sources
        .iter()
        .filter(|field| source.at(field).exists())
        .count();
    field_ref(&source.at("fieldRef"), FIELDS, errors);
    resource_ref(&source.at("resourceFieldRef"), errors);
    key_ref(&source.at("configMapKeyRef"), errors);
    key_ref(&source.at("secretKeyRef"), errors);
    file_ref(&source.at("fileKeyRef"), errors);
    let why = if set == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
    } else if !var.at("value").is_empty() {
        "may not be specified when `value` is not empty"
    } else if set > 1 {
        "may not have more than one field specified at a time"
    } else {
        return;
    };
    errors.push(Error::invalid(&source.path, "", why));
}

/// A `fieldRef` of a volume file.
pub fn volume_field_ref(field: &Node, errors: &mut Errors) {
    field_ref(field, VOLUME_FIELDS, errors);
}

fn field_ref(field: &Node, fields: &[&str], errors: &mut Errors) {
    if !field.exists() {
        return;
    }
    let (version, path) = (field.at("apiVersion"), field.at("fieldPath"));
    if !errors.require(&version) || !errors.require(&path) {
        return;
    }
    if version.text() != "v1" {
        let why = format!(
            "error converting fieldPath: unsupported pod version: {}",
            version.text()
        );
        return errors.invalid(&path, why);
    }
    match subscript(path.text()) {
        Some((map, key)) => subscripted(field, &path, map, key, errors),
        None if !KNOWN_FIELDS.contains(&path.text()) => {
            let why = format!(
                "error converting fieldPath: field label not supported: {}",
                path.text()
            );
            errors.invalid(&path, why);
        }
        None => {
            errors.one_of(&path, fields);
        }
    }
}

fn subscripted(field: &Node, path: &Node, map: &str, key: &str, errors: &mut Errors) {
    let key = match map {
        "metadata.annotations" => key.to_lowercase(),
        "metadata.labels" => key.to_owned(),
        _ => {
            let why = format!(
                "error converting fieldPath: field label does not support subscript: {}",
                path.text()
            );
            return errors.invalid(path, why);
        }
    };
    for problem in names::qualified(&key) {
        errors.push(Error::invalid(&field.path, key.as_str(), problem));
    }
}

/// `metadata.labels['x']` is the map and `x`.
pub fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

pub fn resource_ref(field: &Node, errors: &mut Errors) {
    if !field.exists() {
        return;
    }
    let resource = field.at("resource");
    let text = resource.text();
    let huge = text.starts_with("limits.hugepages-") || text.starts_with("requests.hugepages-");
    if errors.require(&resource) && !huge {
        errors.one_of(&resource, RESOURCES);
    }
    resources::divisor(&field.at("divisor"), text, errors);
}

/// In a volume, the container whose resource it is must be named.
pub fn volume_resource_ref(field: &Node, errors: &mut Errors) {
    if errors.require(&field.at("containerName")) {
        resource_ref(field, errors);
    } else {
        let resource = field.at("resource").text();
        resources::divisor(&field.at("divisor"), resource, errors);
    }
}

fn key_ref(reference: &Node, errors: &mut Errors) {
    if !reference.exists() {
        return;
    }
    errors.follows(&reference.at("name"), names::dns_subdomain);
    errors.require_name(&reference.at("key"), names::config_map_key);
}

fn file_ref(reference: &Node, errors: &mut Errors) {
    if !reference.exists() {
        return;
    }
    errors.require_name(&reference.at("key"), names::env_var);
    errors.require_name(&reference.at("volumeName"), names::dns_label);
    let path = reference.at("path");
    if errors.require(&path) {
        errors.local_non_reserved_path(&path);
    }
}

pub fn validate_from(sources: &Node, errors: &mut Errors) {
    for source in sources.items() {
        errors.follows_if_set(&source.at("prefix"), names::env_var);
        let (map, secret) = (source.at("configMapRef"), source.at("secretRef"));
        for reference in [&map, &secret] {
            if reference.exists() {
                errors.require_name(&reference.at("name"), names::dns_subdomain);
            }
        }
        let why = match (map.exists(), secret.exists()) {
            (false, false) => "must specify one of: `configMapRef` or `secretRef`",
            (true, true) => "may not have more than one field specified at a time",
            _ => continue,
        };
        // Kubernetes tells this of the list.
        errors.push(Error::invalid(&sources.path, "", why));
    }
}
