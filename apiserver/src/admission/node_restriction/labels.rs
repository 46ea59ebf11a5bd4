//! Which labels a node may give itself: by the others the scheduler and policies
//! tell trusted nodes from those that are not.

use std::collections::BTreeSet;

use apimachinery::meta;
use serde_json::Value;

/// Labels of these domains are Kubernetes' own.
const RESERVED: [&str; 2] = ["kubernetes.io", "k8s.io"];
/// Of which a kubelet sets these.
const ALLOWED: &[&str] = &[
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];
/// And whatever lies in these domains.
const ALLOWED_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// Never, whatever else is allowed.
const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// The labels that differ and may not, sorted.
pub fn forbidden(new: &Value, old: &Value) -> Vec<String> {
    let all = [new, old].into_iter().filter_map(meta::labels);
    let keys: BTreeSet<&String> = all.flat_map(|labels| labels.keys()).collect();
    keys.into_iter()
        .filter(|key| meta::label(new, key) != meta::label(old, key))
        .filter(|key| !is_allowed(key))
        .cloned()
        .collect()
}

fn is_allowed(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else {
        return true;
    };
    if is_within(domain, RESTRICTED) {
        return false;
    }
    let is_reserved = RESERVED.iter().any(|reserved| is_within(domain, reserved));
    let is_of_kubelet = ALLOWED_DOMAINS
        .iter()
        .any(|allowed| is_within(domain, allowed));
    !is_reserved || is_of_kubelet || ALLOWED.contains(&key)
}

fn is_within(domain: &str, parent: &str) -> bool {
    domain == parent
        || domain
            .strip_suffix(parent)
            .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(labels: &[&str]) -> Value {
        let labels: serde_json::Map<String, Value> = labels
            .iter()
            .map(|key| ((*key).to_owned(), json!("v")))
            .collect();
        json!({ "metadata": { "labels": labels } })
    }

    #[test]
    fn a_node_says_what_it_is_but_not_what_it_may_run() {
        let fine = [
            "kubernetes.io/os",
            "example.com/rack",
            "gpu",
            "node.kubernetes.io/x",
            "a.kubelet.kubernetes.io/y",
        ];
        assert!(forbidden(&node(&fine), &Value::Null).is_empty());
        let not = [
            "a.node-restriction.kubernetes.io/x",
            "node-restriction.kubernetes.io/pci",
            "node-role.kubernetes.io/control-plane",
            "x.k8s.io/y",
        ];
        assert_eq!(forbidden(&node(&not), &Value::Null), not);
    }

    #[test]
    fn labels_that_others_gave_may_stay_and_not_be_taken_away() {
        let labelled = node(&["node-role.kubernetes.io/worker"]);
        assert!(forbidden(&labelled, &labelled).is_empty());
        assert_eq!(forbidden(&node(&[]), &labelled).len(), 1);
    }
}
