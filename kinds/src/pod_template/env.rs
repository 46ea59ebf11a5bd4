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
        let name = var.at("name");
        if errors.require(&name) {
            errors.follows(&name, names::env_var);
        }
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
    if set == 0 {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        errors.push(Error::invalid(&source.path, "", why));
    } else if !var.at("value").is_empty() {
        let why = "may not be specified when `value` is not empty";
        errors.push(Error::invalid(&source.path, "", why));
    } else if set > 1 {
        let why = "may not have more than one field specified at a time";
        errors.push(Error::invalid(&source.path, "", why));
    }
}

/// A `fieldRef` of a volume file.
pub fn volume_field_ref(field: &Node, errors: &mut Errors) {
    field_ref(field, VOLUME_FIELDS, errors);
}

fn field_ref(field: &Node, fields: &[&str], errors: &mut Errors) {
    if !field.exists() {
        return;
    }
    if !errors.require(&field.at("apiVersion")) {
        return;
    }
    let path = field.at("fieldPath");
    if !errors.require(&path) {
        return;
    }
    let Some((map, key)) = subscript(path.text()) else {
        errors.one_of(&path, fields);
        return;
    };
    let problems = match map {
        "metadata.annotations" => names::qualified(&key.to_lowercase()),
        "metadata.labels" => names::qualified(key),
        _ => vec![format!("does not support subscript {key:?}")],
    };
    for problem in problems {
        errors.invalid(&path, problem);
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
    if !errors.require(&resource) {
        return;
    }
    let text = resource.text();
    let huge = text.starts_with("limits.hugepages-") || text.starts_with("requests.hugepages-");
    if !huge {
        errors.one_of(&resource, RESOURCES);
    }
    resources::divisor(&field.at("divisor"), text, errors);
}

fn key_ref(reference: &Node, errors: &mut Errors) {
    if !reference.exists() {
        return;
    }
    errors.follows_if_set(&reference.at("name"), names::dns_subdomain);
    let key = reference.at("key");
    if errors.require(&key) {
        errors.follows(&key, names::config_map_key);
    }
}

pub fn validate_from(sources: &Node, errors: &mut Errors) {
    for source in sources.items() {
        let prefix = source.at("prefix");
        if !prefix.is_empty() {
            errors.follows(&prefix, names::env_var);
        }
        let (map, secret) = (source.at("configMapRef"), source.at("secretRef"));
        for reference in [&map, &secret] {
            if reference.exists() {
                errors.follows_if_set(&reference.at("name"), names::dns_subdomain);
            }
        }
        let why = match (map.exists(), secret.exists()) {
            (false, false) => "must specify one of: `configMapRef` or `secretRef`",
            (true, true) => "may not have more than one field specified at a time",
            _ => continue,
        };
        errors.push(Error::invalid(&source.path, "", why));
    }
}
