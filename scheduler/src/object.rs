//! Pods and nodes as the scheduler sees them: a small part of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use objects::served_as;
use serde::{Deserialize, Deserializer};

pub mod pod_spec;

pub use pod_spec::PodSpec;

/// A pod: identity, demands, and where it is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Pod {
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: PodSpec,
    #[serde(default)]
    pub status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    pub phase: Option<String>,
    pub nominated_node_name: Option<String>,
    pub start_time: Option<Time>,
    pub conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    pub reason: Option<String>,
    pub message: Option<String>,
}

/// A node: labels, taints, and what it can hold.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Node {
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: NodeSpec,
    #[serde(default)]
    pub status: NodeStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    pub unschedulable: Option<bool>,
    pub taints: Vec<core::Taint>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    pub allocatable: BTreeMap<String, String>,
    pub images: Vec<NodeImage>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeImage {
    pub names: Vec<String>,
    pub size_bytes: Option<i64>,
}

/// A namespace: its labels.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Namespace {
    #[serde(deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
}

/// The metadata that is read here; most of the rest is who owns which field.
pub fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<Annotations>,
        owner_references: Option<Vec<OwnerReference>>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
    }
    #[derive(Deserialize)]
    struct Annotations {
        #[serde(rename = "skiff.dev/traceparent")]
        trace: Option<String>,
    }
    let wire = Wire::deserialize(from)?;
    let trace = wire.annotations.and_then(|annotations| annotations.trace);
    Ok(ObjectMeta {
        name: wire.name,
        namespace: wire.namespace,
        uid: wire.uid,
        resource_version: wire.resource_version,
        labels: wire.labels,
        annotations: trace.map(|trace| [(traces::ANNOTATION.to_owned(), trace)].into()),
        owner_references: wire.owner_references,
        creation_timestamp: wire.creation_timestamp,
        deletion_timestamp: wire.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

impl Pod {
    /// `namespace/name`, by which the scheduler's tables know a pod.
    pub fn key(&self) -> Arc<str> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        key(self.namespace(), name)
    }

    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The node the pod was given to.
    pub fn node(&self) -> Option<&str> {
        self.spec.node_name.as_deref().filter(|n| !n.is_empty())
    }

    /// The node that was being cleared for it.
    pub fn nominated(&self) -> Option<&str> {
        let nominated = self.status.nominated_node_name.as_deref();
        nominated.filter(|n| !n.is_empty())
    }

    pub fn scheduler(&self) -> &str {
        let named = self.spec.scheduler_name.as_deref();
        named.unwrap_or("default-scheduler")
    }

    /// The trace that made the pod.
    pub fn trace(&self) -> Option<&str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(traces::ANNOTATION).map(String::as_str)
    }

    /// Why the pod has no node, as its status says.
    pub fn unschedulable(&self) -> Option<&str> {
        let mut conditions = self.status.conditions.iter();
        let found = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        let is_ours = found.reason.as_deref() == Some("Unschedulable");
        found.message.as_deref().filter(|_| is_ours)
    }

    /// A scheduler is ending it for a pod of higher priority.
    pub fn is_preempted(&self) -> bool {
        self.status.conditions.iter().any(|c| {
            c.type_ == "DisruptionTarget"
                && c.status == "True"
                && c.reason.as_deref() == Some("PreemptionByScheduler")
        })
    }

    pub fn is_ending(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

/// `namespace/name`.
pub fn key(namespace: &str, name: &str) -> Arc<str> {
    format!("{namespace}/{name}").into()
}

served_as!(Pod, core::Pod, NamespaceResourceScope);
served_as!(Node, core::Node, ClusterResourceScope);
served_as!(Namespace, core::Namespace, ClusterResourceScope);
