//! Which objects a quota is about: those that all its scopes hold of.

use apimachinery::meta;
use serde_json::Value;

use crate::served::Served;

/// Whether the quota counts the object at all. Only pods, and claims by their
/// attributes class, have scopes: a quota with one counts nothing else.
pub fn hold(kind: &Served, object: &Value, quota: &Value) -> bool {
    let named = meta::items(quota, "spec.scopes").iter();
    let mut named = named.filter_map(Value::as_str);
    let mut selected = meta::items(quota, "spec.scopeSelector.matchExpressions").iter();
    named.all(|scope| holds(kind, object, scope, "Exists", &[]))
        && selected.all(|expression| {
            let (scope, operator) = (
                meta::text(expression, "scopeName"),
                meta::text(expression, "operator"),
            );
            let values = meta::items(expression, "values");
            holds(kind, object, scope, operator, values)
        })
}

fn holds(kind: &Served, object: &Value, scope: &str, operator: &str, values: &[Value]) -> bool {
    if kind.is("", "persistentvolumeclaims") {
        let class = meta::text(object, "spec.volumeAttributesClassName");
        return scope == "VolumeAttributesClass" && selects(class, operator, values);
    }
    if !kind.is("", "pods") {
        return false;
    }
    match scope {
        "Terminating" => terminates(object),
        "NotTerminating" => !terminates(object),
        "BestEffort" => asks_nothing(object),
        "NotBestEffort" => !asks_nothing(object),
        "PriorityClass" => {
            let class = meta::text(object, "spec.priorityClassName");
            selects(class, operator, values)
        }
        "CrossNamespacePodAffinity" => looks_elsewhere(object),
        _ => false,
    }
}

fn selects(given: &str, operator: &str, values: &[Value]) -> bool {
    let is_listed = values.iter().any(|value| value == given);
    match operator {
        "Exists" => !given.is_empty(),
        "DoesNotExist" => given.is_empty(),
        "In" => is_listed,
        "NotIn" => !is_listed,
        _ => false,
    }
}

fn terminates(pod: &Value) -> bool {
    meta::int(pod, "spec.activeDeadlineSeconds").is_some_and(|seconds| seconds >= 0)
}

/// Quality of service BestEffort: no container asks for cpu or memory.
fn asks_nothing(pod: &Value) -> bool {
    let asks = |resources: &Value| {
        let lists = ["requests", "limits"].into_iter();
        let mut amounts =
            lists.flat_map(|list| ["cpu", "memory"].map(|name| &resources[list][name]));
        amounts.any(|amount| !amount.is_null())
    };
    let lists = ["containers", "initContainers"].into_iter();
    let mut containers = lists.flat_map(|list| meta::items(&pod["spec"], list));
    !asks(&pod["spec"]["resources"]) && !containers.any(|c| asks(&c["resources"]))
}

/// Some affinity of the pod is about pods of other namespaces.
fn looks_elsewhere(pod: &Value) -> bool {
    let is_elsewhere = |term: &Value| {
        !meta::items(term, "namespaces").is_empty() || term["namespaceSelector"].is_object()
    };
    ["podAffinity", "podAntiAffinity"].iter().any(|which| {
        let affinity = &pod["spec"]["affinity"][*which];
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
        let mut weighted = meta::items(affinity, preferred).iter();
        meta::items(affinity, required).iter().any(is_elsewhere)
            || weighted.any(|term| is_elsewhere(&term["podAffinityTerm"]))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> Served {
        Served::BuiltIn(kinds::find("", "v1", "pods").unwrap())
    }

    #[test]
    fn a_priority_class_is_selected_by_its_name() {
        let quota = |operator: &str, values: Value| {
            json!({ "spec": { "scopeSelector": { "matchExpressions": [
                { "scopeName": "PriorityClass", "operator": operator, "values": values }] } } })
        };
        let pod = json!({ "spec": { "priorityClassName": "high" } });
        assert!(hold(&pods(), &pod, &quota("In", json!(["high"]))));
        assert!(!hold(&pods(), &pod, &quota("In", json!(["low"]))));
        assert!(!hold(&pods(), &pod, &quota("NotIn", json!(["high"]))));
        assert!(hold(&pods(), &pod, &quota("Exists", json!([]))));
        assert!(!hold(
            &pods(),
            &json!({ "spec": {} }),
            &quota("Exists", json!([]))
        ));
    }

    #[test]
    fn a_quota_of_pods_of_a_kind_counts_nothing_but_pods() {
        let quota = json!({ "spec": { "scopes": ["NotBestEffort"] } });
        let services = Served::BuiltIn(kinds::find("", "v1", "services").unwrap());
        assert!(!hold(&services, &json!({ "spec": {} }), &quota));
        assert!(hold(
            &services,
            &json!({ "spec": {} }),
            &json!({ "spec": {} })
        ));
        let asking =
            json!({ "spec": { "containers": [{ "resources": { "limits": { "cpu": "1" } } }] } });
        assert!(hold(&pods(), &asking, &quota));
        assert!(!hold(&pods(), &json!({ "spec": {} }), &quota));
    }
}
