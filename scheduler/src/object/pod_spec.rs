//! What a pod demands, as far as scheduling looks at it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Deserializer};

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    pub node_name: Option<String>,
    pub scheduler_name: Option<String>,
    pub priority: Option<i32>,
    pub preemption_policy: Option<String>,
    pub containers: Vec<Container>,
    pub init_containers: Vec<Container>,
    pub overhead: BTreeMap<String, String>,
    /// For the whole pod (KEP-2837).
    pub resources: Resources,
    pub node_selector: BTreeMap<String, String>,
    pub affinity: Affinity,
    pub tolerations: Vec<core::Toleration>,
    pub topology_spread_constraints: Vec<core::TopologySpreadConstraint>,
    pub scheduling_gates: Vec<core::PodSchedulingGate>,
    /// Those that stand for a claim.
    #[serde(deserialize_with = "claims")]
    pub volumes: Vec<Volume>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    pub node_affinity: Option<core::NodeAffinity>,
    pub pod_affinity: core::PodAffinity,
    pub pod_anti_affinity: core::PodAntiAffinity,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    pub image: Option<String>,
    pub restart_policy: Option<String>,
    pub resources: Resources,
    pub ports: Vec<Port>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub requests: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    pub host_port: Option<u16>,
    #[serde(rename = "hostIP")]
    pub host_ip: Option<String>,
    pub protocol: Option<String>,
}

/// A volume of a pod that a claim stands behind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Volume {
    Claim {
        name: String,
    },
    /// The claim is named after the pod and this volume.
    Ephemeral {
        volume: String,
    },
}

impl Container {
    /// An init container that runs on beside the others (KEP-753).
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

impl PodSpec {
    pub fn priority(&self) -> i32 {
        self.priority.unwrap_or(0)
    }
}

fn claims<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Volume>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        name: String,
        persistent_volume_claim: Option<WireClaim>,
        ephemeral: Option<serde::de::IgnoredAny>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct WireClaim {
        claim_name: String,
    }
    let wire = Option::<Vec<Wire>>::deserialize(from)?.unwrap_or_default();
    let volumes = wire.into_iter().filter_map(|volume| {
        if let Some(claim) = volume.persistent_volume_claim {
            let name = claim.claim_name;
            return Some(Volume::Claim { name });
        }
        let volume = volume.ephemeral.map(|_| volume.name)?;
        Some(Volume::Ephemeral { volume })
    });
    Ok(volumes.collect())
}
