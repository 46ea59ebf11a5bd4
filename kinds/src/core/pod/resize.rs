//! Rules on `/resize`: only CPU and memory of containers may change.

use apimachinery::field::{Error, Path};
use apimachinery::meta;
use serde_json::Value;

use super::update::{annotations_stay, is_mirror};
use super::validate_whole;
use crate::errors::Errors;
use crate::node::Node;
use crate::pod_template::defaults::qos_class;

pub fn validate_resize(new: &Value, old: &Value) -> Vec<Error> {
    let (new, old) = (Node::root(new), Node::root(old));
    if let Some(why) = never(&new, &old) {
        return vec![Error::forbidden(&Path::ROOT, why)];
    }
    let mut errors = Errors::default();
    validate_whole(&new.at("metadata"), &new.at("spec"), &mut errors);
    annotations_stay(&new, &old, &mut errors);
    let (spec, before) = (new.at("spec"), old.at("spec"));
    let class = match old.at("status.qosClass").text() {
        "" => qos_class(before.value),
        class => class,
    };
    if qos_class(spec.value) != class {
        let why = "Pod QOS Class may not change as a result of resizing";
        errors.push(Error::invalid(&spec.path, class, why));
    }
    let mut put_back = spec.value.clone();
    for list in ["initContainers", "containers"] {
        nothing_removed(list, &spec.at(list), &before.at(list), &mut errors);
        containers_back(list, &mut put_back, &spec, &before, &mut errors);
    }
    if errors.0.is_empty() && put_back != *before.value {
        errors.forbidden(&spec, "only cpu and memory resources are mutable");
    }
    errors.0
}

/// Pods that cannot be resized at all.
fn never(new: &Node, old: &Node) -> Option<&'static str> {
    let has_own = |pod: &Node| {
        let resources = pod.at("spec.resources");
        !resources.at("requests").is_empty() || !resources.at("limits").is_empty()
    };
    if has_own(old) || has_own(new) {
        return Some("pods with pod-level resources cannot be resized");
    }
    if is_mirror(old) {
        return Some("static pods cannot be resized");
    }
    (old.at("spec.os.name").text() == "windows").then_some("windows pods cannot be resized")
}

fn is_sidecar(container: &Value) -> bool {
    meta::text(container, "restartPolicy") == "Always"
}

/// Amounts may change, not vanish.
fn nothing_removed(list: &str, now: &Node, was: &Node, errors: &mut Errors) {
    for (container, before) in now.items().zip(was.items()) {
        if list == "initContainers" && !is_sidecar(before.value) {
            continue;
        }
        let (resources, olds) = (container.at("resources"), before.at("resources"));
        for field in ["requests", "limits"] {
            let (now, was) = (resources.at(field), olds.at(field));
            let kept = |name: &str| now.map().is_some_and(|all| all.contains_key(name));
            if !was.entries().all(|(name, _)| kept(name)) {
                errors.forbidden(&now, format!("resource {field} cannot be removed"));
            }
        }
    }
}

/// Puts back what may change, and tells of the rest.
fn containers_back(
    list: &str,
    put_back: &mut Value,
    spec: &Node,
    before: &Node,
    errors: &mut Errors,
) {
    let olds = meta::items(before.value, list);
    let Some(containers) = put_back.get_mut(list).and_then(Value::as_array_mut) else {
        return;
    };
    for (container, before) in containers.iter_mut().zip(olds) {
        let sidecar = is_sidecar(container);
        if list == "containers" || sidecar {
            cpu_and_memory_back(container, before);
        }
        if container == before {
            continue;
        }
        let why = match (list, sidecar) {
            ("containers", _) => "only cpu and memory resources are mutable",
            (_, true) => "only cpu and memory resources for sidecar containers are mutable",
            (_, false) => "resources for non-sidecar init containers are immutable",
        };
        errors.forbidden(spec, why);
        // Told once here: it must not be told again of the whole.
        container.clone_from(before);
    }
}

fn cpu_and_memory_back(container: &mut Value, before: &Value) {
    for list in ["requests", "limits"] {
        let olds = before.pointer(&format!("/resources/{list}")).cloned();
        let Some(resources) = container
            .get_mut("resources")
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        let Some(Value::Object(olds)) = olds else {
            resources.remove(list);
            continue;
        };
        let amounts = resources
            .entry(list)
            .or_insert_with(|| serde_json::json!({}));
        for name in ["cpu", "memory"] {
            match (olds.get(name), amounts.as_object_mut()) {
                (Some(old), Some(amounts)) => {
                    amounts.insert(name.to_owned(), old.clone());
                }
                (None, Some(amounts)) => {
                    amounts.remove(name);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resized(from: Value, to: Value) -> Vec<String> {
        let mut old = json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {"serviceAccountName": "default",
            "containers": [{"name": "c", "image": "i:1", "resources": from}]}});
        (super::super::KIND.default)(&mut old);
        let mut new = old.clone();
        new["spec"]["containers"][0]["resources"] = to;
        let errors = validate_resize(&new, &old);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cpu_and_memory_change_and_nothing_else_does() {
        let from = json!({"requests": {"cpu": "1", "memory": "1Gi"}});
        let more = json!({"requests": {"cpu": "2", "memory": "2Gi"}});
        assert_eq!(resized(from.clone(), more), Vec::<String>::new());
        let other = json!({"requests": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}});
        assert_eq!(
            resized(from.clone(), other),
            ["spec: Forbidden: only cpu and memory resources are mutable"]
        );
        assert_eq!(
            resized(from, json!({"requests": {"cpu": "1"}})),
            [
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"
            ]
        );
    }

    #[test]
    fn a_resize_keeps_the_class_of_service() {
        let same = json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}});
        let less = json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}});
        assert_eq!(
            resized(same, less),
            [
                "spec: Invalid value: \"Guaranteed\": Pod QOS Class may not change as a result of resizing"
            ]
        );
    }
}
