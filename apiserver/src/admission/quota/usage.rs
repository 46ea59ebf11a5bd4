//! What one object counts for.

use std::collections::BTreeMap;

use apimachinery::{Quantity, meta, time};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::scopes;
use crate::admission::limits;
pub use crate::admission::limits::amounts;
use crate::served::Served;

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

/// How a class's own limits are named: `fast.storageclass.storage.k8s.io/...`.
const CLASS_SUFFIX: &str = ".storageclass.storage.k8s.io/";

/// Everything the object uses of the quota, by the names that `hard` may have.
pub fn of_object(kind: &Served, object: &Value, quota: &Value) -> Usage {
    if !scopes::hold(kind, object, quota) {
        return Usage::new();
    }
    let mut usage = Usage::new();
    usage.insert(format!("count/{}", kind.resource()), one());
    if !kind.group().is_empty() {
        return usage;
    }
    match kind.plural() {
        "pods" if is_over(object, Timestamp::now()) => return usage,
        "pods" => add_pod(&mut usage, object),
        "services" => add_service(&mut usage, object),
        "persistentvolumeclaims" => add_claim(&mut usage, object),
        _ => {}
    }
    if BARE.contains(&kind.plural()) {
        usage.insert(kind.plural().into(), one());
    }
    usage
}

/// Whether objects of the kind may count for `name`.
pub fn counts(kind: &Served, name: &str) -> bool {
    if name.strip_prefix("count/") == Some(&kind.resource().to_string()) {
        return true;
    }
    if !kind.group().is_empty() {
        return false;
    }
    match kind.plural() {
        "persistentvolumeclaims" => {
            matches!(name, "persistentvolumeclaims" | "requests.storage")
                || name.contains(CLASS_SUFFIX)
        }
        "services" => name == "services" || name.starts_with("services."),
        "pods" => {
            let is_compute = matches!(name, "pods" | "cpu" | "memory" | "ephemeral-storage");
            let is_listed = ["requests.", "limits.", "hugepages-"];
            let is_listed = is_listed.iter().any(|prefix| name.starts_with(prefix));
            is_compute || is_listed && name != "requests.storage"
        }
        plural => BARE.contains(&plural) && plural == name,
    }
}

fn one() -> Quantity {
    Quantity::from_milli(1000)
}

fn is_over(pod: &Value, now: Timestamp) -> bool {
    matches!(meta::text(pod, "status.phase"), "Succeeded" | "Failed") || is_stuck(pod, now)
}

/// A pod that should be gone since its grace period once more: its node may be
/// lost, and what it held must not keep those from coming that are to replace it.
fn is_stuck(pod: &Value, now: Timestamp) -> bool {
    let end = meta::deletion_timestamp(pod).and_then(time::parse);
    let grace = meta::deletion_grace_period_seconds(pod).map(SignedDuration::from_secs);
    let (Some(end), Some(grace)) = (end, grace) else {
        return false;
    };
    now.duration_since(end) > grace
}

fn add_pod(usage: &mut Usage, pod: &Value) {
    for (list, prefix) in [("requests", "requests."), ("limits", "limits.")] {
        for (resource, amount) in totals(pod, list) {
            let has_bare_name = matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage")
                || resource.starts_with("hugepages-");
            if list == "requests" && has_bare_name {
                usage.insert(resource.clone(), amount);
            }
            usage.insert(format!("{prefix}{resource}"), amount);
        }
    }
}

/// What the pod asks for, and what its runtime costs beside.
fn totals(pod: &Value, list: &str) -> Usage {
    let mut sums = limits::totals(pod, list);
    for (name, amount) in limits::quantities(&pod["spec"]["overhead"]) {
        // A limit that nobody set is none, whatever the runtime costs.
        if list == "requests" || sums.contains_key(&name) {
            *sums.entry(name).or_default() += amount;
        }
    }
    sums
}

fn add_service(usage: &mut Usage, service: &Value) {
    let kind = meta::text(service, "spec.type");
    let ports = meta::items(service, "spec.ports");
    let given = || {
        ports
            .iter()
            .filter(|port| port["nodePort"].as_i64().unwrap_or(0) != 0)
    };
    let takes_all = service["spec"]["allocateLoadBalancerNodePorts"] != false;
    let (balancers, node_ports) = match kind {
        "NodePort" => (0, ports.len()),
        "LoadBalancer" if takes_all => (1, ports.len()),
        "LoadBalancer" => (1, given().count()),
        _ => (0, 0),
    };
    let node_ports = i64::try_from(node_ports).unwrap_or(0);
    for (name, count) in [("loadbalancers", balancers), ("nodeports", node_ports)] {
        usage.insert(
            format!("services.{name}"),
            Quantity::from_milli(count * 1000),
        );
    }
}

fn add_claim(usage: &mut Usage, claim: &Value) {
    let class = match meta::text(claim, "spec.storageClassName") {
        "" => meta::annotation(claim, "volume.beta.kubernetes.io/storage-class").unwrap_or(""),
        class => class,
    };
    let of_class = |what: &str| format!("{class}{CLASS_SUFFIX}{what}");
    if !class.is_empty() {
        usage.insert(of_class("persistentvolumeclaims"), one());
    }
    if let Ok(size) = Quantity::from_json(&claim["spec"]["resources"]["requests"]["storage"]) {
        usage.insert("requests.storage".into(), size);
        if !class.is_empty() {
            usage.insert(of_class("requests.storage"), size);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(plural: &str, object: &Value) -> BTreeMap<String, String> {
        let kind = Served::BuiltIn(kinds::find("", "v1", plural).unwrap());
        let usage = of_object(&kind, object, &json!({ "spec": {} }));
        for name in usage.keys() {
            assert!(counts(&kind, name), "{name}");
        }
        usage.into_iter().map(|(k, v)| (k, v.to_string())).collect()
    }

    #[test]
    fn a_sidecar_counts_with_the_containers_and_an_init_container_beside_it() {
        let asks = |name: &str, cpu: &str| json!({ "name": name, "resources": { "requests": { "cpu": cpu } } });
        let mut sidecar = asks("s", "1");
        sidecar["restartPolicy"] = "Always".into();
        let pod = json!({ "spec": {
            "overhead": { "cpu": "100m" },
            "initContainers": [sidecar, asks("i", "5")], "containers": [asks("c", "2")] } });
        assert_eq!(of("pods", &pod)["requests.cpu"], "6100m");
        assert_eq!(of("pods", &pod)["cpu"], "6100m");
    }

    #[test]
    fn a_pod_that_is_over_is_only_counted_as_an_object() {
        let pod = json!({ "spec": { "containers": [] }, "status": { "phase": "Failed" } });
        assert_eq!(
            of("pods", &pod).into_keys().collect::<Vec<_>>(),
            ["count/pods"]
        );
    }

    #[test]
    fn a_pod_that_should_be_gone_for_its_grace_period_is_not_counted() {
        let pod = json!({ "metadata": { "deletionTimestamp": "2026-11-23T03:29:30Z",
            "deletionGracePeriodSeconds": 30 }, "spec": { "containers": [] } });
        let is_over_at = |pod: &Value, now: &str| is_over(pod, time::parse(now).unwrap());
        assert!(!is_over_at(&pod, "2026-11-23T03:30:00Z"));
        assert!(is_over_at(&pod, "2026-11-23T03:30:01Z"));
        assert_eq!(
            of(
                "pods",
                &json!({ "metadata": { "deletionTimestamp": "2020-01-01T00:00:00Z",
                "deletionGracePeriodSeconds": 0 }, "spec": { "containers": [] } })
            )
            .into_keys()
            .collect::<Vec<_>>(),
            ["count/pods"]
        );
        let stays = json!({ "spec": { "containers": [] } });
        assert!(!is_over_at(&stays, "2026-11-23T03:30:01Z"));
    }

    #[test]
    fn a_claim_counts_for_its_class_too() {
        let claim = json!({ "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "1Gi" } } } });
        let used = of("persistentvolumeclaims", &claim);
        assert_eq!(
            used["fast.storageclass.storage.k8s.io/requests.storage"],
            "1Gi"
        );
        assert_eq!(
            used["fast.storageclass.storage.k8s.io/persistentvolumeclaims"],
            "1"
        );
    }

    #[test]
    fn a_load_balancer_without_node_ports_takes_none() {
        let mut service = json!({ "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }] } });
        assert_eq!(of("services", &service)["services.nodeports"], "1");
        service["spec"]["allocateLoadBalancerNodePorts"] = false.into();
        assert_eq!(of("services", &service)["services.nodeports"], "0");
        assert_eq!(of("services", &service)["services.loadbalancers"], "1");
    }
}
