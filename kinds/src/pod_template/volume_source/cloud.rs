//! Volumes of drivers that once were built in.

use apimachinery::field::Error;
use apimachinery::names;

use crate::errors::Errors;
use crate::node::Node;

pub fn flocker(source: &Node, errors: &mut Errors) {
    let (name, uuid) = (source.at("datasetName"), source.at("datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.required(source, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !uuid.is_empty() {
        let why = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(Error::invalid(&source.path, "resource", why));
    }
    if name.text().contains('/') {
        errors.invalid(&name, "must not contain '/'");
    }
}

pub fn quobyte(source: &Node, errors: &mut Errors) {
    let (registry, tenant) = (source.at("registry"), source.at("tenant"));
    let pairs = "must be a host:port pair or multiple pairs separated by commas";
    if !errors.require_because(&registry, pairs) {
    } else if tenant.len() >= 65 {
        let why = "must be a UUID and may not exceed a length of 64 characters";
        errors.required(&tenant, why);
    } else {
        for pair in registry.text().split(',') {
            if pair.rsplit_once(':').is_none() {
                errors.invalid(&registry, pairs);
            }
        }
    }
    errors.require(&source.at("volume"));
}

pub fn azure_disk(source: &Node, errors: &mut Errors) {
    let modes = &["None", "ReadOnly", "ReadWrite"];
    errors.one_of_if_set(&source.at("cachingMode"), modes);
    let kind = source.at("kind");
    errors.one_of_if_set(&kind, &["Dedicated", "Managed", "Shared"]);
    let uri = source.at("diskURI");
    let (start, example) = if kind.text() == "Managed" {
        (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        )
    } else {
        (
            "https://",
            "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
        )
    };
    if kind.exists() && !uri.text().starts_with(start) {
        errors.push(Error::not_supported(&uri.path, uri.text(), &[example]));
    }
}

/// Kubernetes' own domains are not for drivers' options.
pub fn flex_options(options: &Node, errors: &mut Errors) {
    for (key, value) in options.entries() {
        let domain = key.split_once('/').map_or(key, |(domain, _)| domain);
        let domain = format!(".{}", domain.to_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let why = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(Error::invalid(&value.path, key, why));
        }
    }
}

pub fn endpoints_namespace(namespace: &Node, errors: &mut Errors) {
    if !namespace.exists() {
        return;
    }
    if namespace.is_empty() {
        let why = "if the endpointnamespace is set, it must be a valid namespace name";
        errors.invalid(namespace, why);
    } else {
        errors.follows(namespace, names::dns_label);
    }
}
