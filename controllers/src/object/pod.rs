//! Pods, of which there are many: only what some controller reads.

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use objects::labels::Labels;
use serde::Deserialize;
use serde::de::IgnoredAny;

mod job;
mod wanted_node;

pub use job::{
    Exit, FAILURES, IGNORED_FAILURES, INDEX, JobPod, PodCondition, TRACKING, is_tracked,
};

/// The annotations that are read; others may be long.
const ANNOTATIONS: [&str; 1] = ["controller.kubernetes.io/pod-deletion-cost"];

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Wire")]
pub struct Pod {
    /// Without labels.
    pub metadata: ObjectMeta,
    pub labels: Labels,
    pub spec: PodSpec,
    pub status: PodStatus,
    /// Of the pods of Jobs.
    pub job: Option<Box<JobPod>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodSpec {
    pub node_name: Option<String>,
    /// The only node that may take the pod, where it has none yet.
    pub wanted_node: Option<Box<str>>,
    pub hostname: Option<String>,
    pub subdomain: Option<String>,
    /// The named ports of containers and sidecars, in this order.
    pub ports: Box<[NamedPort]>,
    pub claims: Box<[PodClaim]>,
}

/// A PersistentVolumeClaim that one of the pod's volumes stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct PodClaim {
    pub name: Box<str>,
    /// Made for the pod, and gone with it.
    pub is_ephemeral: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NamedPort {
    pub name: String,
    pub protocol: String,
    pub number: i32,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodStatus {
    pub phase: Option<String>,
    pub pod_ips: Box<[String]>,
    /// The most restarts that one of the containers has had.
    pub restarts: i32,
    pub is_ready: bool,
    ready_since: Option<Timestamp>,
}

impl Pod {
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// Neither finished nor being deleted.
    pub fn is_active(&self) -> bool {
        !self.is_finished() && self.metadata.deletion_timestamp.is_none()
    }

    pub fn is_ready(&self) -> bool {
        self.status.is_ready
    }

    /// When it became ready, or ceased to be.
    pub fn readiness_changed(&self) -> Option<Timestamp> {
        self.status.ready_since
    }

    /// When the pod became ready, if it is.
    pub fn ready_since(&self) -> Option<Timestamp> {
        self.status.ready_since.filter(|_| self.status.is_ready)
    }
}

/// A pod as the API server tells of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wire {
    #[serde(deserialize_with = "super::small_meta::read")]
    metadata: ObjectMeta,
    spec: WireSpec,
    status: WireStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireSpec {
    node_name: Option<String>,
    affinity: wanted_node::WireAffinity,
    hostname: Option<String>,
    subdomain: Option<String>,
    containers: Vec<WireContainer>,
    init_containers: Vec<WireContainer>,
    volumes: Vec<WireVolume>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireVolume {
    name: String,
    persistent_volume_claim: Option<WireClaim>,
    ephemeral: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireClaim {
    claim_name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainer {
    ports: Vec<WirePort>,
    restart_policy: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WirePort {
    name: Option<String>,
    protocol: Option<String>,
    container_port: i32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireStatus {
    phase: Option<String>,
    conditions: Vec<WireCondition>,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<WireIp>,
    container_statuses: Vec<WireContainerStatus>,
    init_container_statuses: Vec<WireContainerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    last_transition_time: Option<Time>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireIp {
    ip: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireContainerStatus {
    name: String,
    restart_count: i32,
    state: WireState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireState {
    terminated: Option<WireTerminated>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireTerminated {
    exit_code: i32,
    finished_at: Option<Time>,
}

impl From<Wire> for Pod {
    fn from(mut wire: Wire) -> Self {
        let job = JobPod::of(&wire.metadata, &wire.status);
        Self {
            job,
            labels: wire.metadata.labels.take().unwrap_or_default().into(),
            spec: PodSpec {
                claims: claims(&wire.metadata, std::mem::take(&mut wire.spec.volumes)),
                ..wire.spec.into()
            },
            metadata: small(wire.metadata),
            status: wire.status.into(),
        }
    }
}

fn small(mut metadata: ObjectMeta) -> ObjectMeta {
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|name, _| ANNOTATIONS.contains(&name.as_str()));
    }
    metadata.annotations = metadata.annotations.filter(|a| !a.is_empty());
    metadata
}

fn claims(metadata: &ObjectMeta, volumes: Vec<WireVolume>) -> Box<[PodClaim]> {
    let pod = metadata.name.as_deref().unwrap_or_default();
    let claims = volumes.into_iter().filter_map(|volume| {
        let (name, is_ephemeral) = match (volume.persistent_volume_claim, volume.ephemeral) {
            (Some(claim), _) => (claim.claim_name, false),
            (None, Some(_)) => (format!("{pod}-{}", volume.name), true),
            (None, None) => return None,
        };
        Some(PodClaim {
            name: name.into(),
            is_ephemeral,
        })
    });
    claims.collect()
}

impl From<WireSpec> for PodSpec {
    fn from(wire: WireSpec) -> Self {
        let sidecars = wire.init_containers.into_iter();
        let sidecars = sidecars.filter(|c| c.restart_policy.as_deref() == Some("Always"));
        let ports = wire
            .containers
            .into_iter()
            .chain(sidecars)
            .flat_map(|c| c.ports);
        let named = ports.filter_map(|port| {
            Some(NamedPort {
                name: port.name?,
                protocol: port.protocol.unwrap_or_else(|| "TCP".into()),
                number: port.container_port,
            })
        });
        Self {
            wanted_node: match &wire.node_name {
                None => wire.affinity.node(),
                Some(_) => None,
            },
            node_name: wire.node_name.filter(|name| !name.is_empty()),
            hostname: wire.hostname,
            subdomain: wire.subdomain,
            ports: named.collect(),
            claims: Box::default(),
        }
    }
}

impl From<WireStatus> for PodStatus {
    fn from(wire: WireStatus) -> Self {
        let ready = wire.conditions.into_iter().find(|c| c.type_ == "Ready");
        let restarts = wire
            .container_statuses
            .iter()
            .map(|s| s.restart_count)
            .max();
        Self {
            phase: wire.phase,
            pod_ips: wire.pod_ips.into_iter().map(|ip| ip.ip).collect(),
            restarts: restarts.unwrap_or(0),
            is_ready: ready.as_ref().is_some_and(|c| c.status == "True"),
            ready_since: ready.and_then(|c| c.last_transition_time).map(|t| t.0),
        }
    }
}

objects::served_as!(Pod, core::Pod, NamespaceResourceScope);
