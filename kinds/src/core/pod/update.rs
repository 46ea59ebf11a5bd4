//! What may change in a pod that exists: very little.

use apimachinery::field::Error;
use apimachinery::meta;
use serde_json::Value;

use crate::errors::Errors;
use crate::node::Node;
use crate::pod_template::{Place, validate_spec};

const ALLOWED: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub fn validate(new: &Node, old: &Node, errors: &mut Errors) {
    let spec = new.at("spec");
    let before = old.at("spec");
    validate_spec(&spec, Place::Pod, errors);
    for list in ["containers", "initContainers"] {
        same_number(&spec.at(list), &before.at(list), errors);
    }
    deadline(&spec, &before, errors);
    tolerations(&spec.at("tolerations"), &before.at("tolerations"), errors);
    gates(
        &spec.at("schedulingGates"),
        &before.at("schedulingGates"),
        errors,
    );
    rest(&spec, &before, errors);
}

fn same_number(list: &Node, before: &Node, errors: &mut Errors) {
    if list.len() != before.len() {
        errors.forbidden(list, "pod updates may not add or remove containers");
    }
}

/// A deadline may come, or come nearer.
fn deadline(spec: &Node, before: &Node, errors: &mut Errors) {
    let (now, was) = (
        spec.at("activeDeadlineSeconds"),
        before.at("activeDeadlineSeconds"),
    );
    match (now.int(), was.int()) {
        (Some(seconds), Some(old)) if seconds > old => {
            errors.invalid(
                &now,
                format!("must be less than or equal to previous value ({old})"),
            );
        }
        (None, Some(_)) => {
            errors.push(Error::invalid(
                &now.path,
                Value::Null,
                "must not update from a positive integer to nil value",
            ));
        }
        _ => {}
    }
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
        errors.forbidden(
            now,
            "existing toleration can not be modified except its tolerationSeconds",
        );
    }
}

fn gates(now: &Node, was: &Node, errors: &mut Errors) {
    let known = |name: &str| was.items().any(|gate| gate.at("name").text() == name);
    for gate in now.items() {
        let name = gate.at("name").text();
        if !known(name) {
            let why = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.forbidden(now, why);
        }
    }
}

/// With everything that may change put back, nothing else may differ.
fn rest(spec: &Node, before: &Node, errors: &mut Errors) {
    let mut put_back = spec.value.clone();
    let old = before.value;
    for list in ["containers", "initContainers"] {
        images_back(&mut put_back, old, list);
    }
    let free = ["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    let gated = !meta::items(old, "schedulingGates").is_empty();
    let while_gated = ["nodeSelector"].into_iter().filter(|_| gated);
    for field in free.into_iter().chain(while_gated) {
        crate::prepare::copy_field(&mut put_back, old, field);
    }
    if gated {
        crate::prepare::copy_field(&mut put_back, old, "affinity");
    }
    let grace = meta::int(old, "terminationGracePeriodSeconds").unwrap_or(0);
    if grace < 0 && meta::int(&put_back, "terminationGracePeriodSeconds") == Some(1) {
        put_back["terminationGracePeriodSeconds"] = grace.into();
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

/// Rules on `/status`.
pub fn validate_status(new: &Node, old: &Node, errors: &mut Errors) {
    let status = new.at("status");
    let nominated = status.at("nominatedNodeName");
    errors.follows_if_set(&nominated, apimachinery::names::dns_subdomain);
    if new.at("spec.nodeName").text() != old.at("spec.nodeName").text() {
        let node_name = new.at("spec.nodeName");
        errors.forbidden(&node_name, "may not be changed directly");
    }
    let qos = status.at("qosClass");
    if !old.at("status.qosClass").is_empty() {
        errors.immutable(&qos, &old.at("status.qosClass"));
    }
}

/// Rules on `/ephemeralcontainers`: they may be added, not changed or taken away.
pub fn validate_ephemeral_containers(new: &Value, old: &Value) -> Vec<Error> {
    let (new, old) = (Node::root(new), Node::root(old));
    let mut errors = Errors::default();
    validate_spec(&new.at("spec"), Place::Pod, &mut errors);
    let list = new.at("spec.ephemeralContainers");
    let before = old.at("spec.ephemeralContainers");
    for container in before.items() {
        let name = container.at("name").text();
        let mut now = list.items();
        match now.position(|now| now.at("name").text() == name) {
            None => {
                let why = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.forbidden(&list, why);
            }
            Some(index) if list.value[index] != *container.value => {
                let why = format!("existing ephemeral containers {name:?} may not be changed\n");
                errors.forbidden(&list, why);
            }
            Some(_) => {}
        }
    }
    errors.0
}

/// Rules on `/resize`: only the resources of containers may change, and not the pod's
/// quality-of-service class.
pub fn validate_resize(new: &Value, old: &Value) -> Vec<Error> {
    let (new, old) = (Node::root(new), Node::root(old));
    let mut errors = Errors::default();
    let spec = new.at("spec");
    validate_spec(&spec, Place::Pod, &mut errors);
    let mut put_back = spec.value.clone();
    for list in ["containers", "initContainers"] {
        let olds = meta::get(old.value, "spec").map_or(&[][..], |spec| meta::items(spec, list));
        let Some(containers) = put_back.get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        for (container, before) in containers.iter_mut().zip(olds) {
            crate::prepare::copy_field(container, before, "resources");
            crate::prepare::copy_field(container, before, "resizePolicy");
        }
    }
    let before = old.at("spec");
    if put_back != *before.value {
        errors.forbidden(&spec, "only cpu and memory resources are mutable");
    }
    let qos = crate::pod_template::defaults::qos_class;
    if qos(spec.value) != qos(before.value) {
        let why = "Pod QOS Class may not change as a result of resizing";
        errors.push(Error::invalid(&spec.path, qos(spec.value), why));
    }
    errors.0
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
