//! Rules on `metadata`, the same for every kind.

use apimachinery::field::{Error, Path};
use apimachinery::gvk::GroupVersion;
use apimachinery::names;

use crate::errors::Errors;
use crate::node::Node;

/// All annotations of an object together: 256 KiB.
const ANNOTATIONS_MAX: usize = 256 * 1024;
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Mistakes in the metadata of an object to be created.
pub fn validate(meta: &Node, namespaced: bool, rule: names::Rule, errors: &mut Errors) {
    let generate_name = meta.at("generateName");
    if !generate_name.is_empty() {
        for problem in names::prefix_of(rule, generate_name.text()) {
            errors.invalid(&generate_name, problem);
        }
    }
    let name = meta.at("name");
    if errors.require_because(&name, "name or generateName is required") {
        errors.follows(&name, rule);
    }
    let namespace = meta.at("namespace");
    if namespaced {
        errors.require_name(&namespace, names::dns_label);
    } else if !namespace.is_empty() {
        errors.forbidden(&namespace, "not allowed on this type");
    }
    errors.not_negative(&meta.at("generation"));
    validate_parts(meta, errors);
}

fn validate_parts(meta: &Node, errors: &mut Errors) {
    labels(&meta.at("labels"), errors);
    annotations(&meta.at("annotations"), errors);
    owner_references(&meta.at("ownerReferences"), errors);
    finalizers(&meta.at("finalizers"), errors);
}

pub fn labels(labels: &Node, errors: &mut Errors) {
    for (key, value) in labels.entries() {
        for problem in names::qualified(key) {
            errors.push(Error::invalid(&labels.path, key, problem));
        }
        for problem in names::label_value(value.text()) {
            errors.push(Error::invalid(&labels.path, value.text(), problem));
        }
    }
}

pub fn annotations(annotations: &Node, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in annotations.entries() {
        // Annotation keys may have capitals in their prefix.
        for problem in names::qualified(&key.to_lowercase()) {
            errors.push(Error::invalid(&annotations.path, key, problem));
        }
        size += key.len() + value.len();
    }
    if size > ANNOTATIONS_MAX {
        errors.push(Error::too_long(&annotations.path, ANNOTATIONS_MAX));
    }
}

fn owner_references(owners: &Node, errors: &mut Errors) {
    let mut controller: Option<&str> = None;
    for owner in owners.items() {
        owner_reference(&owner, errors);
        let name = owner.at("name").text();
        if !owner.at("controller").is_true() {
            continue;
        }
        if let Some(first) = controller {
            let why = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
            );
            errors.invalid(owners, why);
        }
        controller = Some(name);
    }
}

fn owner_reference(owner: &Node, errors: &mut Errors) {
    let api_version = owner.at("apiVersion");
    if GroupVersion::parse(api_version.text()).is_none_or(|gv| gv.version.is_empty()) {
        errors.invalid_text(&api_version, "version must not be empty");
    }
    for field in ["kind", "name", "uid"] {
        let node = owner.at(field);
        if node.is_empty() {
            errors.invalid_text(&node, format!("{field} must not be empty"));
        }
    }
    let is_event = owner.at("kind").text() == "Event";
    if is_event && matches!(api_version.text(), "v1" | "events.k8s.io/v1") {
        let why = format!(
            "{}, Kind=Event is disallowed from being an owner",
            api_version.text()
        );
        errors.invalid(owner, why);
    }
}

fn finalizers(finalizers: &Node, errors: &mut Errors) {
    let has = |name| finalizers.items().any(|f| f.text() == name);
    for finalizer in finalizers.items() {
        let name = finalizer.text();
        for problem in names::qualified(name) {
            errors.push(Error::invalid(&finalizers.path, name, problem));
        }
        if !name.contains('/') && !STANDARD_FINALIZERS.contains(&name) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(Error::invalid(&finalizers.path, name, why));
        }
    }
    if has("orphan") && has("foregroundDeletion") {
        let why = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid(finalizers, why);
    }
}

/// Mistakes in changing metadata.
pub fn validate_update(new: &Node, old: &Node, errors: &mut Errors) {
    no_new_finalizers(new, old, errors);
    for field in ["name", "namespace", "uid", "creationTimestamp"] {
        errors.immutable(&new.at(field), &old.at(field));
    }
    for field in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        if old.at(field).exists() || new.at(field).exists() {
            errors.immutable(&new.at(field), &old.at(field));
        }
    }
    let generation = new.at("generation");
    if generation.int().unwrap_or(0) < old.at("generation").int().unwrap_or(0) {
        errors.invalid(&generation, "must not be decremented");
    }
    validate_parts(new, errors);
}

fn no_new_finalizers(new: &Node, old: &Node, errors: &mut Errors) {
    if !old.at("deletionTimestamp").exists() {
        return;
    }
    let before = old.at("finalizers");
    let finalizers = new.at("finalizers");
    let is_old = |name: &str| before.items().any(|f| f.text() == name);
    let added: Vec<&str> = finalizers
        .items()
        .map(|f| f.text())
        .filter(|name| !is_old(name))
        .collect();
    if added.is_empty() {
        return;
    }
    let added: Vec<String> = added.iter().map(|name| format!("{name:?}")).collect();
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.join(", ")
    );
    errors.forbidden(&finalizers, why);
}

/// Mistakes in the metadata of a pod template.
pub fn validate_template(meta: &Node, errors: &mut Errors) {
    labels(&meta.at("labels"), errors);
    annotations(&meta.at("annotations"), errors);
}

/// Metadata of what is made for an object later: it gets its names then.
pub fn only_labels_and_annotations(meta: &Node, errors: &mut Errors) {
    let Some(fields) = meta.map() else { return };
    for (field, value) in fields {
        let is_empty = Node::new(value, meta.path).is_empty();
        if !matches!(field.as_str(), "labels" | "annotations") && !is_empty {
            errors.push(Error::forbidden(&meta.path.child(field), "cannot be set"));
        }
    }
}

/// The path of every object's metadata.
pub const METADATA: Path<'static> = Path::new("metadata");

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn errors(meta: &Value) -> Vec<String> {
        let mut errors = Errors::default();
        let object = json!({"metadata": meta});
        let root = Node::root(&object);
        validate(
            &root.at("metadata"),
            true,
            names::dns_subdomain,
            &mut errors,
        );
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_object_needs_a_name_and_a_namespaced_one_a_namespace() {
        assert_eq!(
            errors(&json!({})),
            [
                "metadata.name: Required value: name or generateName is required",
                "metadata.namespace: Required value",
            ]
        );
    }

    #[test]
    fn one_owner_controls() {
        let owner = |name| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": "u", "controller": true});
        let found = errors(
            &json!({"name": "a", "namespace": "b", "ownerReferences": [owner("x"), owner("y")]}),
        );
        assert_eq!(found.len(), 1);
        assert!(
            found[0].ends_with("Found \"true\" in references for x and y"),
            "{found:?}"
        );
    }

    #[test]
    fn a_finalizer_of_ones_own_has_a_domain() {
        assert_eq!(
            errors(&json!({"name": "a", "namespace": "b", "finalizers": ["mine"]})),
            [
                "metadata.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified"
            ]
        );
    }

    #[test]
    fn an_object_being_deleted_takes_no_new_finalizers() {
        let old =
            json!({"metadata": {"name": "a", "deletionTimestamp": "t", "finalizers": ["x.io/a"]}});
        let mut new = old.clone();
        new["metadata"]["finalizers"] = json!(["x.io/a", "x.io/b"]);
        let (new, old) = (Node::root(&new), Node::root(&old));
        let mut errors = Errors::default();
        validate_update(&new.at("metadata"), &old.at("metadata"), &mut errors);
        assert_eq!(
            errors.0.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"x.io/b\"}"
            ]
        );
    }
}
