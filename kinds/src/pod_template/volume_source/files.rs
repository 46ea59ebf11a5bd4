//! Files made of the keys of a Secret or ConfigMap, or of what is known about the pod.

use apimachinery::field::Error;

use crate::errors::Errors;
use crate::node::Node;
use crate::pod_template::env;

/// 0 to 0777.
pub fn mode(mode: &Node, errors: &mut Errors) {
    if mode.int().is_some_and(|bits| !(0..=0o777).contains(&bits)) {
        errors.invalid(
            mode,
            "must be a number between 0 and 0777 (octal), both inclusive",
        );
    }
}

/// A volume of the keys of what `source.<name>` names.
pub fn keyed(source: &Node, name: &str, errors: &mut Errors) {
    errors.require(&source.at(name));
    mode(&source.at("defaultMode"), errors);
    keys_to_paths(&source.at("items"), errors);
}

pub fn keys_to_paths(items: &Node, errors: &mut Errors) {
    for item in items.items() {
        errors.require(&item.at("key"));
        file_path(&item.at("path"), errors);
        mode(&item.at("mode"), errors);
    }
}

/// Where a file goes: below the volume, and not among the volume's own dot files.
pub fn file_path(path: &Node, errors: &mut Errors) {
    if errors.require(path) {
        errors.local_non_reserved_path(path);
    }
}

pub fn downward(source: &Node, errors: &mut Errors) {
    mode(&source.at("defaultMode"), errors);
    for item in source.at("items").items() {
        downward_file(source, &item, errors);
    }
}

/// Kubernetes tells these without the item's index: as if they stood in the list's parent.
pub fn downward_file(parent: &Node, item: &Node, errors: &mut Errors) {
    let item = Node::new(item.value, parent.path);
    file_path(&item.at("path"), errors);
    let (field, resource) = (item.at("fieldRef"), item.at("resourceFieldRef"));
    if field.exists() {
        env::volume_field_ref(&field, errors);
        if resource.exists() {
            let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.push(Error::invalid(&item.path, "resource", why));
        }
    } else if resource.exists() {
        env::volume_resource_ref(&resource, errors);
    } else {
        let why = "one of fieldRef and resourceFieldRef is required";
        errors.required(&item, why);
    }
    mode(&item.at("mode"), errors);
}
