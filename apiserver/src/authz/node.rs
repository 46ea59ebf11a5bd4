//! What a node's kubelet may do: read the cluster's shape, keep its own Node and
//! Lease, write the status of its own pods, and read what those pods use.
//!
//! Unlike Kubernetes', nodes read all Nodes here: skiff's network needs the
//! others' addresses and has no identity of its own.

mod graph;
pub mod uses;

use std::sync::Arc;

use super::selectors::Selectors;
use super::{Action, Attributes};
use crate::mirror::Source;
use crate::proxy::tunnels;
use graph::Graph;

pub enum Decision {
    Allow,
    /// With what a refusal should say.
    NoOpinion(String),
}

impl Decision {
    fn when(allowed: bool) -> Self {
        if allowed {
            Self::Allow
        } else {
            Self::NoOpinion(String::new())
        }
    }

    fn no(why: impl Into<String>) -> Self {
        Self::NoOpinion(why.into())
    }
}

pub struct Authorizer(Arc<Graph>);

/// One question about a resource, by a node.
struct Asked<'a> {
    node: &'a str,
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
    selectors: Selectors<'a>,
}

impl Asked<'_> {
    fn reads(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }

    /// Whether nothing of other nodes is asked for.
    fn selects_its_node(&self) -> bool {
        self.selectors.pin("spec.nodeName", self.node)
    }

    fn writes(&self) -> bool {
        matches!(self.verb, "update" | "patch")
    }
}

impl Authorizer {
    pub async fn load(source: &Source) -> Result<Self, store::Error> {
        Ok(Self(Graph::load(source).await?))
    }

    pub fn decide(&self, node: &str, asked: &Attributes<'_>) -> Decision {
        if let Action::Path(path) = asked.target {
            return Decision::when(path == tunnels::PATH && asked.verb == "get");
        }
        let Action::Resource {
            group,
            resource,
            subresource,
            namespace,
            name,
        } = asked.target
        else {
            return Decision::no("");
        };
        let asked = Asked {
            node,
            verb: asked.verb,
            group,
            resource,
            subresource,
            namespace,
            name,
            selectors: asked.selectors,
        };
        match (group, resource, subresource) {
            ("", "secrets" | "configmaps" | "persistentvolumeclaims" | "persistentvolumes", "")
            | ("resource.k8s.io", "resourceclaims", "") => self.referenced(&asked),
            ("", "persistentvolumeclaims", "status") if asked.writes() || asked.verb == "get" => {
                self.related(&asked)
            }
            ("storage.k8s.io", "volumeattachments", "") if asked.verb == "get" => {
                self.related(&asked)
            }
            ("", "serviceaccounts", "" | "token") => self.service_account(&asked),
            ("", "pods", "") if asked.reads() => self.pods(&asked),
            ("resource.k8s.io", "resourceslices", "") => resource_slices(&asked),
            ("coordination.k8s.io", "leases", "") => own(&asked, namespace == "kube-node-lease"),
            ("storage.k8s.io", "csinodes", "") => own(&asked, true),
            _ => Decision::when(general(&asked)),
        }
    }

    /// Objects are read one by one, and only those that pods of the node use.
    fn referenced(&self, asked: &Asked<'_>) -> Decision {
        if !asked.reads() {
            return Decision::no("can only read resources of this type");
        }
        if asked.name.is_empty() {
            return Decision::no("No Object name found");
        }
        self.related(asked)
    }

    fn related(&self, asked: &Asked<'_>) -> Decision {
        if self
            .0
            .relates(asked.node, asked.resource, asked.namespace, asked.name)
        {
            return Decision::Allow;
        }
        Decision::no(format!(
            "no relationship found between node '{}' and this object",
            asked.node
        ))
    }

    fn service_account(&self, asked: &Asked<'_>) -> Decision {
        match (asked.subresource, asked.verb) {
            ("token", "create") | ("", "get") => self.related(asked),
            ("token", _) => Decision::no("only 'create' is allowed on service account tokens"),
            _ => Decision::no("can only get individual service accounts"),
        }
    }

    fn pods(&self, asked: &Asked<'_>) -> Decision {
        if asked.name.is_empty() {
            let is_own = asked.selects_its_node();
            if is_own {
                return Decision::Allow;
            }
            return Decision::no(
                "can only list/watch pods with spec.nodeName field selector of the node itself",
            );
        }
        // One that is nowhere yet is no secret; the graph may trail.
        if self.0.is_elsewhere(asked.node, asked.namespace, asked.name) {
            return self.related(asked);
        }
        Decision::Allow
    }
}

/// Of an object that is named after the node.
fn own(asked: &Asked<'_>, is_in_place: bool) -> Decision {
    let is_verb = matches!(asked.verb, "get" | "create" | "update" | "patch" | "delete");
    let is_own = asked.name == asked.node || asked.verb == "create" && asked.name.is_empty();
    if is_verb && is_in_place && is_own {
        return Decision::Allow;
    }
    Decision::no(format!(
        "can only access {} with the same name as the requesting node",
        asked.resource
    ))
}

/// Whose a slice is, admission sees.
fn resource_slices(asked: &Asked<'_>) -> Decision {
    match asked.verb {
        "get" | "create" | "update" | "patch" | "delete" => Decision::Allow,
        "list" | "watch" | "deletecollection" if asked.selects_its_node() => Decision::Allow,
        _ => Decision::no(
            "can only list/watch/deletecollection resourceslices with spec.nodeName field selector",
        ),
    }
}

/// What every node may do, whatever runs on it. That a pod or Node is its own is
/// the admission's check (NodeRestriction), which sees the object.
fn general(asked: &Asked<'_>) -> bool {
    let (verb, reads, writes) = (asked.verb, asked.reads(), asked.writes());
    match (asked.group, asked.resource, asked.subresource) {
        ("", "services" | "namespaces" | "endpoints", "") => reads,
        ("", "pods", "") => verb == "create" || verb == "delete",
        ("", "pods", "status") => writes || verb == "get",
        ("", "pods", "eviction") => verb == "create",
        ("", "nodes", "") => reads || verb == "create" || writes && asked.name == asked.node,
        ("", "nodes", "status") => (writes || verb == "get") && asked.name == asked.node,
        ("" | "events.k8s.io", "events", "") => verb == "create" || writes,
        ("discovery.k8s.io", "endpointslices", "")
        | ("node.k8s.io", "runtimeclasses", "")
        | ("certificates.k8s.io", "clustertrustbundles", "")
        | ("storage.k8s.io", "csidrivers" | "storageclasses", "") => reads,
        ("networking.k8s.io", "networkpolicies", "") => reads,
        ("certificates.k8s.io", "certificatesigningrequests" | "podcertificaterequests", "") => {
            verb == "create" || reads
        }
        ("authentication.k8s.io", "tokenreviews", "")
        | ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews", "") => {
            verb == "create"
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
