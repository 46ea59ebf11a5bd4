//! The pods of a node: it makes mirrors of its static pods, and writes the
//! status of what runs on it.

use apimachinery::meta;
use serde_json::Value;

const MIRROR: &str = "kubernetes.io/config.mirror";

fn is_on(node: &str, pod: &Value) -> bool {
    meta::text(pod, "spec.nodeName") == node
}

pub fn create(node: &str, pod: &Value) -> Option<String> {
    if meta::annotation(pod, MIRROR).is_none() {
        return Some(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if !is_on(node, pod) {
        return Some(format!(
            "node {node:?} can only create pods with spec.nodeName set to itself"
        ));
    }
    owner(node, pod).or_else(|| {
        let referred = refers_to(pod)?;
        Some(format!(
            "node {node:?} can not create pods that reference {referred}"
        ))
    })
}

/// A mirror may be the node's, so that it goes with it; nobody else's.
fn owner(node: &str, pod: &Value) -> Option<String> {
    let why = match meta::owner_references(pod) {
        [] => return None,
        [owner] => {
            let is_itself = meta::text(owner, "kind") == "Node"
                && meta::text(owner, "apiVersion") == "v1"
                && meta::text(owner, "name") == node;
            let holds = |field| meta::flag(owner, field);
            if !is_itself {
                "can only create pods with an owner reference set to itself"
            } else if holds("controller") {
                "cannot create pods with an owner reference that is a controller"
            } else if holds("blockOwnerDeletion") {
                "must not set blockOwnerDeletion on an owner reference"
            } else {
                return None;
            }
        }
        _ => "can only create pods with a single owner reference set to itself",
    };
    Some(format!("node {node:?} {why}"))
}

/// What only pods that were authorized elsewhere may use.
fn refers_to(pod: &Value) -> Option<&'static str> {
    let spec = &pod["spec"];
    if !meta::text(spec, "serviceAccountName").is_empty() {
        return Some("a service account");
    }
    let uses = crate::authz::node::uses::of_pod(pod);
    let has = |resource: &str| uses.iter().any(|object| object.starts_with(resource));
    [
        ("secrets/", "secrets"),
        ("configmaps/", "configmaps"),
        ("persistentvolumeclaims/", "persistentvolumeclaims"),
        ("resourceclaims/", "resourceclaims"),
    ]
    .into_iter()
    .find(|(prefix, _)| has(prefix))
    .map(|(_, words)| words)
}

pub fn update_status(node: &str, new: &Value, old: &Value) -> Option<String> {
    if !is_on(node, old) {
        return Some(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    if meta::labels(new) != meta::labels(old) {
        return Some(format!(
            "node {node:?} cannot update labels through pod status"
        ));
    }
    let claims = |pod: &Value| {
        ["resourceClaimStatuses", "extendedResourceClaimStatus"]
            .map(|field| pod["status"][field].clone())
    };
    (claims(new) != claims(old))
        .then(|| format!("node {node:?} cannot update resource claim statuses"))
}

pub fn delete(node: &str, pod: &Value) -> Option<String> {
    (!is_on(node, pod))
        .then(|| format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
}

pub fn evict(node: &str, pod: &Value) -> Option<String> {
    (!is_on(node, pod))
        .then(|| format!("node {node:?} can only evict pods with spec.nodeName set to itself"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mirror(spec: Value) -> Value {
        let mut pod = json!({ "metadata": { "name": "p", "namespace": "g", "annotations": { MIRROR: "hash" } }, "spec": spec });
        pod["spec"]["nodeName"] = "n1".into();
        pod
    }

    #[test]
    fn a_mirror_reads_nothing_of_the_cluster() {
        assert_eq!(create("n1", &mirror(json!({}))), None);
        for (spec, words) in [
            (json!({ "serviceAccountName": "sa" }), "a service account"),
            (
                json!({ "volumes": [{ "secret": { "secretName": "s" } }] }),
                "secrets",
            ),
            (
                json!({ "volumes": [{ "configMap": { "name": "s" } }] }),
                "configmaps",
            ),
            (
                json!({ "volumes": [{ "name": "v", "ephemeral": {} }] }),
                "persistentvolumeclaims",
            ),
        ] {
            let refused = create("n1", &mirror(spec)).unwrap();
            assert!(refused.ends_with(words), "{refused}");
        }
    }

    #[test]
    fn a_mirror_belongs_to_its_node_or_to_nobody() {
        let owned = |kind: &str, name: &str, controller: bool| {
            let mut pod = mirror(json!({}));
            pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": "v1", "kind": kind, "name": name, "controller": controller }]);
            create("n1", &pod)
        };
        assert_eq!(owned("Node", "n1", false), None);
        assert!(owned("Node", "n2", false).is_some());
        assert!(owned("Node", "n1", true).is_some());
        assert!(owned("Namespace", "n1", false).is_some());
    }
}
