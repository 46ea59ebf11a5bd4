//! Where volumes appear in a container.

use std::collections::HashSet;

use apimachinery::field::Error;

use super::spec::Around;
use crate::errors::{Errors, Seen};
use crate::node::Node;

const PROPAGATIONS: &[&str] = &["Bidirectional", "HostToContainer", "None"];

/// The texts that a field has in a list.
fn texts<'a>(list: &Node<'a, '_>, field: &str) -> HashSet<&'a str> {
    let items = list.value.as_array().into_iter().flatten();
    items.filter_map(|item| item.get(field)?.as_str()).collect()
}

pub fn validate(mounts: &Node, around: &Around, container: &Node, errors: &mut Errors) {
    let devices = container.at("volumeDevices");
    let (device_names, device_paths) = (texts(&devices, "name"), texts(&devices, "devicePath"));
    let mut paths = Seen::new();
    for mount in mounts.items() {
        let (name, path) = (mount.at("name"), mount.at("mountPath"));
        errors.require(&name);
        if !around.volumes.names.contains(name.text()) {
            errors.push(Error::not_found(&name.path, name.text()));
        }
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
        propagation(mounts, &mount, container, errors);
        recursive(mounts, &mount, errors);
    }
}

/// A field of a mount that Kubernetes reports without the mount's index.
fn without_index<'v, 'b>(
    mounts: &'b Node<'v, '_>,
    mount: &Node<'v, '_>,
    field: &'b str,
) -> Node<'v, 'b> {
    Node::new(mount.at(field).value, mounts.path.child(field))
}

fn sub_paths(mounts: &Node, mount: &Node, errors: &mut Errors) {
    let path = without_index(mounts, mount, "subPath");
    let expression = without_index(mounts, mount, "subPathExpr");
    if !path.is_empty() {
        errors.local_descending_path(&path);
    }
    if expression.is_empty() {
        return;
    }
    if !path.is_empty() {
        let why = "subPathExpr and subPath are mutually exclusive";
        errors.invalid(&mount.at("subPathExpr"), why);
    }
    errors.local_descending_path(&expression);
}

fn propagation(mounts: &Node, mount: &Node, container: &Node, errors: &mut Errors) {
    let propagation = without_index(mounts, mount, "mountPropagation");
    errors.one_of_if_set(&propagation, PROPAGATIONS);
    let privileged = container.at("securityContext.privileged").is_true();
    if propagation.text() == "Bidirectional" && !privileged {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.forbidden(&propagation, why);
    }
}

fn recursive(mounts: &Node, mount: &Node, errors: &mut Errors) {
    let recursive = without_index(mounts, mount, "recursiveReadOnly");
    errors.one_of_if_set(&recursive, &["Disabled", "Enabled", "IfPossible"]);
    if !matches!(recursive.text(), "Enabled" | "IfPossible") {
        return;
    }
    if !mount.at("readOnly").is_true() {
        errors.forbidden(&recursive, "may only be specified when readOnly is true");
    }
    if !matches!(mount.at("mountPropagation").text(), "" | "None") {
        let why = "may only be specified when mountPropagation is None or not specified";
        errors.forbidden(&recursive, why);
    }
}

pub fn devices(devices: &Node, around: &Around, container: &Node, errors: &mut Errors) {
    if devices.is_empty() {
        return;
    }
    let mounts = container.at("volumeMounts");
    let (mount_names, mount_paths) = (texts(&mounts, "name"), texts(&mounts, "mountPath"));
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for device in devices.items() {
        let (name, path) = (device.at("name"), device.at("devicePath"));
        errors.require(&name);
        if names.contains(name.text()) {
            errors.invalid(&name, "must be unique");
        }
        if !around.volumes.names.contains(name.text()) {
            errors.push(Error::not_found(&name.path, name.text()));
        } else if !around.volumes.claims.contains(name.text()) {
            let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
            errors.invalid(&name, why);
        }
        errors.require(&path);
        if paths.contains(path.text()) {
            errors.invalid(&path, "must be unique");
        }
        if path.text().split('/').any(|part| part == "..") {
            errors.invalid(&path, "can not contain backsteps ('..')");
        } else {
            paths.insert(path.text());
        }
        if mount_names.contains(name.text()) {
            errors.invalid(&name, "must not already exist in volumeMounts");
        }
        if mount_paths.contains(path.text()) {
            errors.invalid(&path, "must not already exist as a path in volumeMounts");
        }
        if !name.is_empty() {
            names.insert(name.text());
        }
    }
}
