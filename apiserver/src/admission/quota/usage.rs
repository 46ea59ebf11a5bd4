//! What one object counts for.

use std::collections::BTreeMap;

use crate::served::Served;
use apimachinery::{Quantity, meta};
use serde_json::Value;

pub type Usage = BTreeMap<String, Quantity>;

/// Kinds that a quota may count by their bare plural.
const BARE: &[&str] = &[
    "pods",
    "services",
    "configmaps",
    "secrets",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
];

/// Everything the object uses, by the names that `hard` may have.
pub fn of_object(kind: &Served, object: &Value, quota: &Value) -> Usage {
    let mut usage = Usage::new();
    let one = || Quantity::from_milli(1000);
    let full = if kind.group().is_empty() {
        kind.plural().to_owned()
    } else {
        format!("{}.{}", kind.plural(), kind.group())
    };
    usage.insert(format!("count/{full}"), one());
    if !kind.group().is_empty() {
        return usage;
    }
    match kind.plural() {
        "pods" if is_over(object) || !is_in_scope(object, quota) => return Usage::new(),
        "pods" => add_pod(&mut usage, object),
        "services" => add_service(&mut usage, object),
        "persistentvolumeclaims" => {
            if let Ok(size) =
                Quantity::from_json(&object["spec"]["resources"]["requests"]["storage"])
            {
                usage.insert("requests.storage".into(), size);
            }
        }
        _ => {}
    }
    if BARE.contains(&kind.plural()) {
        usage.insert(kind.plural().into(), one());
    }
    usage
}

fn is_over(pod: &Value) -> bool {
    matches!(meta::text(pod, "status.phase"), "Succeeded" | "Failed")
}

/// Whether the quota's scopes include the pod.
pub fn is_in_scope(pod: &Value, quota: &Value) -> bool {
    meta::items(quota, "spec.scopes")
        .iter()
        .filter_map(Value::as_str)
        .all(|scope| {
            let terminates = meta::int(pod, "spec.activeDeadlineSeconds").is_some();
            let best_effort = asks_nothing(pod);
            match scope {
                "Terminating" => terminates,
                "NotTerminating" => !terminates,
                "BestEffort" => best_effort,
                "NotBestEffort" => !best_effort,
                _ => true,
            }
        })
}

fn asks_nothing(pod: &Value) -> bool {
    ["containers", "initContainers"]
        .iter()
        .flat_map(|l| meta::items(&pod["spec"], l))
        .all(|container| {
            let is_empty =
                |list: &str| meta::map(container, list).is_none_or(serde_json::Map::is_empty);
            is_empty("resources.requests") && is_empty("resources.limits")
        })
}

fn add_pod(usage: &mut Usage, pod: &Value) {
    for (list, prefix) in [("requests", "requests."), ("limits", "limits.")] {
        for (resource, amount) in totals(pod, list) {
            if list == "requests"
                && matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage")
            {
                usage.insert(resource.clone(), amount);
            }
            usage.insert(format!("{prefix}{resource}"), amount);
        }
    }
}

/// All containers together, or the largest init container where that is more.
fn totals(pod: &Value, list: &str) -> Usage {
    let mut sums = Usage::new();
    for container in meta::items(pod, "spec.containers") {
        for (resource, amount) in amounts(container, list) {
            *sums
                .entry(resource)
                .or_insert_with(|| Quantity::from_milli(0)) += amount;
        }
    }
    for container in meta::items(pod, "spec.initContainers") {
        for (resource, amount) in amounts(container, list) {
            let sum = sums.entry(resource).or_insert(amount);
            *sum = (*sum).max(amount);
        }
    }
    sums
}

fn amounts(container: &Value, list: &str) -> Vec<(String, Quantity)> {
    let resources = container["resources"][list]
        .as_object()
        .into_iter()
        .flatten();
    resources
        .filter_map(|(name, amount)| Some((name.clone(), Quantity::from_json(amount).ok()?)))
        .collect()
}

fn add_service(usage: &mut Usage, service: &Value) {
    let kind = meta::text(service, "spec.type");
    let ports = i64::try_from(meta::items(service, "spec.ports").len()).unwrap_or(0);
    if kind == "LoadBalancer" {
        usage.insert("services.loadbalancers".into(), Quantity::from_milli(1000));
    }
    if matches!(kind, "LoadBalancer" | "NodePort") {
        usage.insert(
            "services.nodeports".into(),
            Quantity::from_milli(ports * 1000),
        );
    }
}
