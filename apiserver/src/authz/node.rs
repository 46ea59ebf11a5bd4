//! What a node's kubelet may do: read the cluster's shape, keep its own Node and
//! Lease, write the status of its own pods, and read what those pods use.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use apimachinery::meta;
use serde_json::Value;

use super::{Action, Attributes};
use crate::bytes_json;
use crate::mirror::{self, Follower, Source};

pub enum Decision {
    Allow,
    /// With what a refusal should say.
    NoOpinion(String),
}

/// Which objects the pods of each node use.
#[derive(Default)]
struct Uses {
    /// By pod.
    pods: HashMap<String, PodUses>,
    /// How many pods of a node use an object: `node`, then `secrets/ns/name`.
    counts: HashMap<String, HashMap<String, usize>>,
}

struct PodUses {
    node: String,
    objects: HashSet<String>,
}

#[derive(Default)]
struct Graph(RwLock<Uses>);

pub struct Authorizer(Arc<Graph>);

impl Authorizer {
    pub async fn load(source: &Source) -> Result<Self, store::Error> {
        let graph = Arc::new(Graph::default());
        source.follow("pods", graph.clone()).await?;
        Ok(Self(graph))
    }

    pub fn decide(&self, node: &str, asked: &Attributes<'_>) -> Decision {
        let Action::Resource {
            group,
            resource,
            subresource,
            namespace,
            name,
        } = asked.target
        else {
            return Decision::NoOpinion(String::new());
        };
        let allowed = match (group, resource, subresource) {
            ("", "secrets" | "configmaps" | "persistentvolumeclaims" | "persistentvolumes", "") => {
                return self.referenced(node, asked.verb, resource, namespace, name);
            }
            ("", "serviceaccounts", "token") => {
                asked.verb == "create" && self.uses(node, "serviceaccounts", namespace, name)
            }
            ("coordination.k8s.io", "leases", "") => {
                namespace == "kube-node-lease" && (name == node || asked.verb == "create")
            }
            ("storage.k8s.io", "csinodes", "") => name == node || asked.verb == "create",
            _ => general(asked.verb, group, resource, subresource, node, name),
        };
        if allowed {
            Decision::Allow
        } else {
            Decision::NoOpinion(String::new())
        }
    }

    fn referenced(
        &self,
        node: &str,
        verb: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Decision {
        if !matches!(verb, "get" | "list" | "watch") || name.is_empty() {
            return Decision::NoOpinion(format!(
                "No {resource} can be listed or written by a node"
            ));
        }
        if self.uses(node, resource, namespace, name) {
            return Decision::Allow;
        }
        Decision::NoOpinion(format!(
            "no relationship found between node '{node}' and this object"
        ))
    }

    fn uses(&self, node: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let uses = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        let objects = uses.counts.get(node);
        objects.is_some_and(|o| o.contains_key(&format!("{resource}/{namespace}/{name}")))
    }
}

/// What every node may do, whatever runs on it. That a pod or Node is its own is
/// the admission's check (NodeRestriction), which sees the object.
fn general(
    verb: &str,
    group: &str,
    resource: &str,
    subresource: &str,
    node: &str,
    name: &str,
) -> bool {
    let reads = matches!(verb, "get" | "list" | "watch");
    let writes = matches!(verb, "update" | "patch");
    match (group, resource, subresource) {
        ("", "services" | "namespaces" | "endpoints", "") => reads,
        ("", "pods", "") => reads || verb == "create" || verb == "delete",
        ("", "pods", "status") => writes || verb == "get",
        ("", "pods", "eviction") => verb == "create",
        ("", "nodes", "") => {
            reads || verb == "create" || (writes || verb == "delete") && name == node
        }
        ("", "nodes", "status") => (writes || verb == "get") && name == node,
        ("" | "events.k8s.io", "events", "") => verb == "create" || writes,
        ("discovery.k8s.io", "endpointslices", "")
        | ("node.k8s.io", "runtimeclasses", "")
        | ("storage.k8s.io", "csidrivers" | "volumeattachments" | "storageclasses", "") => reads,
        ("networking.k8s.io", "networkpolicies", "") => reads,
        ("certificates.k8s.io", "certificatesigningrequests", "") => verb == "create" || reads,
        ("authentication.k8s.io", "tokenreviews", "")
        | ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews", "") => {
            verb == "create"
        }
        _ => false,
    }
}

impl Follower for Graph {
    fn put(&self, key: &str, pod: &[u8]) {
        // Most pods come by here often; few need to be parsed.
        let node = bytes_json::scalar_at(pod, &["spec", "nodeName"]);
        let mut uses = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if node.is_empty() {
            return uses.forget(key);
        }
        // What a pod uses never changes once it is on a node, but for
        // ephemeral containers, which bring no volumes.
        if uses.pods.get(key).is_some_and(|old| old.node == node) {
            return;
        }
        let Some(pod) = mirror::parse(key, pod) else {
            return;
        };
        uses.forget(key);
        uses.add(
            key,
            PodUses {
                node,
                objects: objects_of(&pod),
            },
        );
    }

    fn delete(&self, key: &str) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .forget(key);
    }

    fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Uses::default();
    }
}

impl Uses {
    fn add(&mut self, key: &str, pod: PodUses) {
        let counts = self.counts.entry(pod.node.clone()).or_default();
        for object in &pod.objects {
            *counts.entry(object.clone()).or_default() += 1;
        }
        self.pods.insert(key.to_owned(), pod);
    }

    fn forget(&mut self, key: &str) {
        let Some(pod) = self.pods.remove(key) else {
            return;
        };
        let Some(counts) = self.counts.get_mut(&pod.node) else {
            return;
        };
        for object in &pod.objects {
            if let Some(count) = counts.get_mut(object) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(object);
                }
            }
        }
    }
}

/// `secrets/ns/name` and so on, for all that the pod's spec names.
fn objects_of(pod: &Value) -> HashSet<String> {
    let mut found = HashSet::new();
    let namespace = meta::namespace(pod);
    let spec = &pod["spec"];
    let mut add = |resource: &str, name: &Value| {
        if let Some(name) = name.as_str().filter(|n| !n.is_empty()) {
            found.insert(format!("{resource}/{namespace}/{name}"));
        }
    };
    add("serviceaccounts", &spec["serviceAccountName"]);
    for secret in meta::items(spec, "imagePullSecrets") {
        add("secrets", &secret["name"]);
    }
    for volume in meta::items(spec, "volumes") {
        add("secrets", &volume["secret"]["secretName"]);
        add("configmaps", &volume["configMap"]["name"]);
        add(
            "persistentvolumeclaims",
            &volume["persistentVolumeClaim"]["claimName"],
        );
        for source in meta::items(volume, "projected.sources") {
            add("secrets", &source["secret"]["name"]);
            add("configmaps", &source["configMap"]["name"]);
        }
    }
    for list in ["containers", "initContainers"] {
        for container in meta::items(spec, list) {
            for source in meta::items(container, "envFrom") {
                add("secrets", &source["secretRef"]["name"]);
                add("configmaps", &source["configMapRef"]["name"]);
            }
            for variable in meta::items(container, "env") {
                add("secrets", &variable["valueFrom"]["secretKeyRef"]["name"]);
                add(
                    "configmaps",
                    &variable["valueFrom"]["configMapKeyRef"]["name"],
                );
            }
        }
    }
    found
}
