//! The fields of kind's `v1alpha4`, all of them, so that a strange one stands out.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::Value;

use super::refuse;
use crate::Result;
use crate::plan::Role;

const API_VERSION: &str = "kind.x-k8s.io/v1alpha4";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Document {
    kind: String,
    api_version: String,
    pub name: Option<String>,
    #[serde(default)]
    pub nodes: Vec<NodeText>,
    #[serde(default)]
    pub networking: Networking,
    feature_gates: Option<Value>,
    runtime_config: Option<Value>,
    kubeadm_config_patches: Option<Value>,
    #[serde(rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_config_patches_json: Option<Value>,
    containerd_config_patches: Option<Value>,
    #[serde(rename = "containerdConfigPatchesJSON6902")]
    containerd_config_patches_json: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeText {
    role: Option<String>,
    pub image: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub extra_mounts: Vec<MountText>,
    #[serde(default)]
    pub extra_port_mappings: Vec<PortText>,
    pub kubeadm_config_patches: Option<Value>,
    #[serde(rename = "kubeadmConfigPatchesJSON6902")]
    pub kubeadm_config_patches_json: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MountText {
    pub host_path: String,
    pub container_path: String,
    #[serde(default)]
    pub read_only: bool,
    #[serde(default)]
    pub selinux_relabel: bool,
    pub propagation: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PortText {
    pub container_port: i64,
    pub host_port: Option<i64>,
    pub listen_address: Option<String>,
    pub protocol: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Networking {
    pub ip_family: Option<String>,
    pub api_server_port: Option<i64>,
    pub api_server_address: Option<String>,
    pub pod_subnet: Option<String>,
    pub service_subnet: Option<String>,
    #[serde(rename = "disableDefaultCNI")]
    pub disable_default_cni: Option<bool>,
    pub kube_proxy_mode: Option<String>,
    pub dns_search: Option<Vec<String>>,
}

impl Document {
    pub fn check(&self) -> Result<()> {
        if self.kind != "Cluster" || self.api_version != API_VERSION {
            return refuse(format!(
                "the configuration is a {} of {}; skiff reads a Cluster of {API_VERSION}",
                self.kind, self.api_version
            ));
        }
        let no_kubeadm = "skiff has no kubeadm; flags of a cluster's parts cannot be set here";
        let no_containerd = "skiff has no containerd";
        for (field, value, why) in [
            (
                "featureGates",
                &self.feature_gates,
                "skiff has no feature gates to set",
            ),
            (
                "runtimeConfig",
                &self.runtime_config,
                "the served API versions are fixed",
            ),
            (
                "kubeadmConfigPatches",
                &self.kubeadm_config_patches,
                no_kubeadm,
            ),
            (
                "kubeadmConfigPatchesJSON6902",
                &self.kubeadm_config_patches_json,
                no_kubeadm,
            ),
            (
                "containerdConfigPatches",
                &self.containerd_config_patches,
                no_containerd,
            ),
            (
                "containerdConfigPatchesJSON6902",
                &self.containerd_config_patches_json,
                no_containerd,
            ),
        ] {
            refuse_if_set(field, value.as_ref(), why)?;
        }
        Ok(())
    }
}

impl NodeText {
    pub fn role(&self) -> Result<Role> {
        match self.role.as_deref() {
            None | Some("control-plane") => Ok(Role::ControlPlane),
            Some("worker") => Ok(Role::Worker),
            Some(role) => refuse(format!("role {role:?} is neither control-plane nor worker")),
        }
    }
}

/// An empty list or map asks for nothing.
pub fn refuse_if_set(field: &str, value: Option<&Value>, why: &str) -> Result<()> {
    let is_empty = match value {
        None | Some(Value::Null) => true,
        Some(Value::Sequence(items)) => items.is_empty(),
        Some(Value::Mapping(items)) => items.is_empty(),
        Some(_) => false,
    };
    if is_empty {
        return Ok(());
    }
    refuse(format!("{field} is not supported: {why}; remove it"))
}
