//! What may change in a pod that exists: very little.

use apimachinery::field::Error;
use apimachinery::meta;
use serde_json::Value;

use super::{gated, validate_whole};
use crate::errors::Errors;
use crate::node::Node;
use crate::pod_template::{annotations, tolerations as check_tolerations};

const ALLOWED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub fn validate(new: &Node, old: &Node, errors: &mut Errors) {
    let (spec, before) = (new.at("spec"), old.at("spec"));
    validate_whole(&new.at("metadata"), &spec, errors);
    annotations_stay(new, old, errors);
    for list in ["containers", "initContainers"] {
        if !same_containers(&spec.at(list), &before.at(list), errors) {
            return;
        }
    }
    if !deadline(&spec, &before, errors) {
        return;
    }
    tolerations(&spec.at("tolerations"), &before.at("tolerations"), errors);
    gated::gates(
        &spec.at("schedulingGates"),
        &before.at("schedulingGates"),
        errors,
    );
    rest(&spec, &before, errors);
}

/// Annotations that the pod's node has read when it started the pod.
pub fn annotations_stay(new: &Node, old: &Node, errors: &mut Errors) {
    let (now, was) = (
        new.at("metadata.annotations"),
        old.at("metadata.annotations"),
    );
    let value = |all: &Node, key: &str| all.map().and_then(|all| all.get(key)).cloned();
    let mut told = |key: &str, verb: &str| {
        let what = if key.starts_with(annotations::APP_ARMOR) {
            "AppArmor annotations"
        } else if key == annotations::MIRROR {
            "mirror pod annotation"
        } else {
            return;
        };
        let why = format!("may not {verb} {what}");
        errors.push(Error::forbidden(&now.path.key(key), why));
    };
    for (key, before) in was.entries() {
        if value(&now, key).as_ref() != Some(before.value) {
            told(key, "remove or update");
        }
    }
    for (key, _) in now.entries() {
        if value(&was, key).is_none() {
            told(key, "add");
        }
    }
}

/// As many as before, each with an image; false ends the validation.
fn same_containers(list: &Node, before: &Node, errors: &mut Errors) -> bool {
    if list.len() != before.len() {
        errors.forbidden(list, "pod updates may not add or remove containers");
        return false;
    }
    for container in list.items() {
        let image = container.at("image");
        errors.require(&image);
        if image.text().trim() != image.text() {
            errors.invalid(&image, "must not have leading or trailing whitespace");
        }
    }
    true
}

/// A deadline may come, or come nearer; false ends the validation.
fn deadline(spec: &Node, before: &Node, errors: &mut Errors) -> bool {
    let (now, was) = (
        spec.at("activeDeadlineSeconds"),
        before.at("activeDeadlineSeconds"),
    );
    match (now.int(), was.int()) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            let why = format!("must be between 0 and {}, inclusive", i32::MAX);
            errors.invalid(&now, why);
            return false;
        }
        (Some(seconds), Some(old)) if seconds > old => {
            errors.invalid(&now, "must be less than or equal to previous value");
            return false;
        }
        (None, Some(_)) => {
            let why = "must not update from a positive integer to nil value";
            errors.push(Error::invalid(&now.path, Value::Null, why));
        }
        _ => {}
    }
    true
}

fn tolerations(now: &Node, was: &Node, errors: &mut Errors) {
    // The seconds of one that is there may change.
    let same = |a: &Value, b: &Value| {
        let fields = ["key", "operator", "value", "effect"];
        fields
            .iter()
            .all(|field| meta::text(a, field) == meta::text(b, field))
    };
    let kept = was
        .items()
        .all(|old| now.items().any(|new| same(new.value, old.value)));
    if !kept {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        return errors.forbidden(now, why);
    }
    check_tolerations(now, errors);
}

/// With everything that may change put back, nothing else may differ.
fn rest(spec: &Node, before: &Node, errors: &mut Errors) {
    let old = before.value;
    if spec.value == old {
        return;
    }
    let mut put_back = spec.value.clone();
    for list in ["containers", "initContainers"] {
        images_back(&mut put_back, old, list);
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        crate::prepare::copy_field(&mut put_back, old, field);
    }
    let grace = meta::int(old, "terminationGracePeriodSeconds").unwrap_or(0);
    if grace < 0 && meta::int(&put_back, "terminationGracePeriodSeconds") == Some(1) {
        put_back["terminationGracePeriodSeconds"] = grace.into();
    }
    if !meta::items(old, "schedulingGates").is_empty() {
        gated::scheduling_back(&mut put_back, spec, before, errors);
    }
    if put_back != *old {
        errors.forbidden(spec, format!("{ALLOWED}\n{}", differences(&put_back, old)));
    }
}

fn images_back(spec: &mut Value, old: &Value, list: &str) {
    let before = meta::items(old, list);
    let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else {
        return;
    };
    for (container, before) in containers.iter_mut().zip(before) {
        crate::prepare::copy_field(container, before, "image");
    }
}

/// The top-level fields that differ, for people.
fn differences(new: &Value, old: &Value) -> String {
    let fields = |value: &Value| -> Vec<String> {
        value
            .as_object()
            .into_iter()
            .flat_map(|f| f.keys().cloned())
            .collect()
    };
    let mut names = fields(new);
    names.extend(fields(old));
    names.sort();
    names.dedup();
    let side = |sign, value: Option<&Value>, name: &str| match value {
        Some(value) => format!("{sign} {name}: {value}\n"),
        None => String::new(),
    };
    let changed = names.iter().filter(|name| new.get(name) != old.get(name));
    changed
        .map(|name| side('-', new.get(name), name) + &side('+', old.get(name), name))
        .collect()
}

/// Rules on `/ephemeralcontainers`: they may be added, not changed or taken away.
pub fn validate_ephemeral_containers(new: &Value, old: &Value) -> Vec<Error> {
    let (new, old) = (Node::root(new), Node::root(old));
    let mut errors = Errors::default();
    if is_mirror(&old) {
        let why = "static pods do not support ephemeral containers";
        return vec![Error::forbidden(&apimachinery::field::Path::ROOT, why)];
    }
    validate_whole(&new.at("metadata"), &new.at("spec"), &mut errors);
    annotations_stay(&new, &old, &mut errors);
    let list = new.at("spec.ephemeralContainers");
    for container in old.at("spec.ephemeralContainers").items() {
        let name = container.at("name").text();
        let mut now = list.items();
        match now.find(|now| now.at("name").text() == name) {
            None => {
                let why = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.forbidden(&list, why);
            }
            Some(now) if now.value != container.value => {
                let changes = differences(now.value, container.value);
                let why =
                    format!("existing ephemeral containers {name:?} may not be changed\n{changes}");
                errors.forbidden(&list, why);
            }
            Some(_) => {}
        }
    }
    errors.0
}

/// The pod stands for a file on its node.
pub fn is_mirror(pod: &Node) -> bool {
    meta::annotation(pod.value, annotations::MIRROR).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        let mut pod = json!({"spec": {"containers": [{"name": "c", "image": "a:1"}]}});
        (super::super::KIND.default)(&mut pod);
        pod
    }

    fn errors(new: &Value, old: &Value) -> Vec<String> {
        let mut errors = Errors::default();
        validate(&Node::root(new), &Node::root(old), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_image_may_change_and_a_hostname_may_not() {
        let old = pod();
        let mut new = old.clone();
        new["spec"]["containers"][0]["image"] = "a:2".into();
        assert_eq!(errors(&new, &old), Vec::<String>::new());
        new["spec"]["hostname"] = "x".into();
        let found = errors(&new, &old);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("spec: Forbidden: pod updates may not change fields other than")
        );
        assert!(found[0].ends_with("- hostname: \"x\"\n"));
    }

    #[test]
    fn tolerations_may_be_added_but_not_removed() {
        let mut old = pod();
        old["spec"]["tolerations"] = json!([{"key": "a", "operator": "Exists"}]);
        let mut new = old.clone();
        new["spec"]["tolerations"] =
            json!([{"key": "b", "operator": "Exists"}, {"key": "a", "operator": "Exists"}]);
        assert_eq!(errors(&new, &old), Vec::<String>::new());
        new["spec"]["tolerations"] = json!([]);
        assert_eq!(errors(&new, &old).len(), 1);
    }
}
