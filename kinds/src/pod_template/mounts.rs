//! Where volumes appear in a container.

use std::collections::HashSet;

use super::spec::Around;
use crate::errors::{Errors, Seen};
use crate::node::Node;

const PROPAGATIONS: &[&str] = &["Bidirectional", "HostToContainer", "None"];

fn names_and_paths<'a>(container: &Node<'a, '_>, list: &str, path: &str) -> HashSet<&'a str> {
    let items = apimachinery::meta::items(container.value, list).iter();
    items.filter_map(|item| item.get(path)?.as_str()).collect()
}

pub fn validate(mounts: &Node, around: &Around, container: &Node, errors: &mut Errors) {
    let device_names = names_and_paths(container, "volumeDevices", "name");
    let device_paths = names_and_paths(container, "volumeDevices", "devicePath");
    let mut paths = Seen::new();
    for mount in mounts.items() {
        let name = mount.at("name");
        if errors.require(&name) && !around.volumes.contains(name.text()) {
            errors.not_found(&name);
        }
        let path = mount.at("mountPath");
        errors.require(&path);
        if !paths.insert(path.text().to_owned()) {
            errors.invalid_text(&path, "must be unique");
        }
        if device_names.contains(name.text()) {
            errors.invalid(&name, "must not already exist in volumeDevices");
        }
        if device_paths.contains(path.text()) {
            errors.invalid(&path, "must not already exist as a path in volumeDevices");
        }
        sub_paths(mounts, &mount, errors);
        propagation(&mount, container, errors);
    }
}

/// Kubernetes reports these without the mount's index.
fn sub_paths(mounts: &Node, mount: &Node, errors: &mut Errors) {
    for field in ["subPath", "subPathExpr"] {
        let path = Node {
            value: mount.at(field).value,
            path: mounts.path.child(field),
        };
        if !path.is_empty() {
            errors.local_descending_path(&path);
        }
    }
    let both = !mount.at("subPath").is_empty() && !mount.at("subPathExpr").is_empty();
    if both {
        let expression = mounts.at("subPathExpr");
        let value = mount.at("subPathExpr").text();
        let why = "subPathExpr and subPath are mutually exclusive";
        errors.push(apimachinery::field::Error::invalid(
            &expression.path,
            value,
            why,
        ));
    }
}

fn propagation(mount: &Node, container: &Node, errors: &mut Errors) {
    let propagation = mount.at("mountPropagation");
    errors.one_of_if_set(&propagation, PROPAGATIONS);
    let privileged = container.at("securityContext.privileged").is_true();
    if propagation.text() == "Bidirectional" && !privileged {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.forbidden(&propagation, why);
    }
    let recursive = mount.at("recursiveReadOnly");
    if !matches!(recursive.text(), "" | "Disabled" | "IfPossible" | "Enabled") {
        errors.one_of(&recursive, &["Disabled", "Enabled", "IfPossible"]);
    }
    if recursive.text() == "Enabled" && !mount.at("readOnly").is_true() {
        errors.forbidden(&recursive, "may only be specified when readOnly is true");
    }
}

pub fn devices(devices: &Node, around: &Around, container: &Node, errors: &mut Errors) {
    let mount_names = names_and_paths(container, "volumeMounts", "name");
    let mount_paths = names_and_paths(container, "volumeMounts", "mountPath");
    let (mut names, mut paths) = (Seen::new(), Seen::new());
    for device in devices.items() {
        let (name, path) = (device.at("name"), device.at("devicePath"));
        if errors.require(&name) {
            if !names.insert(name.text().to_owned()) {
                errors.invalid(&name, "must be unique");
            }
            if !around.volumes.contains(name.text()) {
                errors.not_found(&name);
            } else if !around.claims.contains(name.text()) {
                let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&name, why);
            }
        }
        if errors.require(&path) && !paths.insert(path.text().to_owned()) {
            errors.invalid(&path, "must be unique");
        }
        if path.text().split('/').any(|part| part == "..") {
            errors.invalid(&path, "must not contain '..'");
        }
        if mount_names.contains(name.text()) {
            errors.invalid(&name, "must not already exist in volumeMounts");
        }
        if mount_paths.contains(path.text()) {
            errors.invalid(&path, "must not already exist as a path in volumeMounts");
        }
    }
}
