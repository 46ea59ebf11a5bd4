//! Kinds as the controllers see them: what none of them reads is not kept.
//!
//! Pod templates stay as the JSON they are, so that a copy of one is exact
//! also in fields that this version of skiff does not know.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use objects::served_as;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod batch;
mod controller_revision;
mod daemon_set;
mod pod;
pub mod small_meta;
mod stateful_set;
pub mod volume;

pub use batch::{CronJob, CronJobSpec, Job};
pub use controller_revision::ControllerRevision;
pub use daemon_set::DaemonSet;
pub use pod::{Exit, FAILURES, IGNORED_FAILURES, INDEX, Pod, PodCondition, TRACKING, is_tracked};
pub use stateful_set::StatefulSet;
pub use volume::{PersistentVolume, PersistentVolumeClaim, StorageClass};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReplicaSet {
    pub metadata: ObjectMeta,
    pub spec: ReplicaSetSpec,
    #[serde(default)]
    pub status: apps::ReplicaSetStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSetSpec {
    #[serde(default = "one")]
    pub replicas: i32,
    #[serde(default)]
    pub min_ready_seconds: i32,
    pub selector: Value,
    pub template: Value,
}

/// The same by an older name; its selector is read into the newer form.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ReplicationController {
    pub metadata: ObjectMeta,
    #[serde(deserialize_with = "replication_spec")]
    pub spec: ReplicaSetSpec,
    #[serde(default)]
    pub status: apps::ReplicaSetStatus,
}

fn replication_spec<'de, D: serde::Deserializer<'de>>(from: D) -> Result<ReplicaSetSpec, D::Error> {
    let mut spec = ReplicaSetSpec::deserialize(from)?;
    spec.selector = serde_json::json!({ "matchLabels": spec.selector });
    Ok(spec)
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Deployment {
    pub metadata: ObjectMeta,
    pub spec: DeploymentSpec,
    #[serde(default)]
    pub status: apps::DeploymentStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentSpec {
    #[serde(default = "one")]
    pub replicas: i32,
    #[serde(default)]
    pub min_ready_seconds: i32,
    #[serde(default)]
    pub paused: bool,
    pub progress_deadline_seconds: Option<i32>,
    pub revision_history_limit: Option<i32>,
    pub selector: Value,
    #[serde(default)]
    pub strategy: Strategy,
    pub template: Value,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Strategy {
    #[serde(rename = "type")]
    pub type_: Option<String>,
    pub rolling_update: Option<RollingUpdate>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    pub max_surge: Value,
    pub max_unavailable: Value,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    pub metadata: ObjectMeta,
    pub spec: core::NamespaceSpec,
    pub status: core::NamespaceStatus,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    pub metadata: ObjectMeta,
    pub spec: NodeSpec,
    pub status: NodeStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pub pod_cidr: Option<String>,
    pub unschedulable: bool,
    pub taints: Vec<core::Taint>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    pub addresses: Vec<core::NodeAddress>,
    pub daemon_endpoints: Option<core::NodeDaemonEndpoints>,
    pub conditions: Vec<core::NodeCondition>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    pub metadata: ObjectMeta,
    pub spec: LeaseSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    pub renew_time: Option<MicroTime>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    pub metadata: ObjectMeta,
    pub spec: ServiceSpec,
    pub status: core::ServiceStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    #[serde(rename = "type")]
    pub type_: Option<String>,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    pub ip_families: Vec<String>,
    pub ports: Vec<core::ServicePort>,
    pub publish_not_ready_addresses: bool,
    pub selector: BTreeMap<String, String>,
    pub external_traffic_policy: Option<String>,
    pub load_balancer_class: Option<String>,
    pub load_balancer_source_ranges: Vec<String>,
}

fn one() -> i32 {
    1
}

impl Namespace {
    /// Things may be made in it.
    pub fn is_active(&self) -> bool {
        self.metadata.deletion_timestamp.is_none()
            && self.status.phase.as_deref() != Some("Terminating")
    }

    pub fn is_ending(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        let mut finalizers = self.spec.finalizers.iter().flatten();
        finalizers.any(|f| f == finalizer)
    }
}

impl Node {
    pub fn condition(&self, type_: &str) -> Option<&core::NodeCondition> {
        self.status.conditions.iter().find(|c| c.type_ == type_)
    }

    pub fn is_ready(&self) -> bool {
        self.condition("Ready").is_some_and(|c| c.status == "True")
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        let labels = self.metadata.labels.as_ref();
        labels.and_then(|l| l.get(name)).map(String::as_str)
    }
}

impl Service {
    /// Has no address of its own: its name stands for its pods' addresses.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip.as_deref() == Some("None")
    }

    /// To be reached from outside by what the cluster has itself.
    pub fn is_balanced(&self) -> bool {
        self.spec.type_.as_deref() == Some("LoadBalancer")
            && self.spec.load_balancer_class.is_none()
            && self.metadata.deletion_timestamp.is_none()
    }

    /// What comes from outside is answered on the node where it comes in.
    pub fn stays_local(&self) -> bool {
        self.is_balanced() && self.spec.external_traffic_policy.as_deref() == Some("Local")
    }

    /// Where it is reached from outside.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let balancer = self.status.load_balancer.iter();
        let ingress = balancer.flat_map(|balancer| balancer.ingress.iter().flatten());
        ingress.filter_map(|ingress| ingress.ip.as_deref())
    }
}

served_as!(ReplicaSet, apps::ReplicaSet, NamespaceResourceScope);
served_as!(
    ReplicationController,
    core::ReplicationController,
    NamespaceResourceScope
);
served_as!(Deployment, apps::Deployment, NamespaceResourceScope);
served_as!(Namespace, core::Namespace, ClusterResourceScope);
served_as!(Node, core::Node, ClusterResourceScope);
served_as!(Lease, coordination::Lease, NamespaceResourceScope);
served_as!(Service, core::Service, NamespaceResourceScope);
