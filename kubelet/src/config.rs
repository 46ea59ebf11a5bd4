//! What a node agent is started with.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;

use crate::eviction::Eviction;
use crate::garbage::ImageGc;
use crate::machine_stop::{MachineStop, ShutdownGrace};

/// Everything about one node that the agent cannot find out by itself.
#[derive(Clone, Debug)]
pub struct Config {
    pub node_name: String,
    /// Address under which other machines reach this node.
    pub node_ip: IpAddr,
    /// Volumes, writable layers and records of pods; survives a reboot.
    pub data_dir: PathBuf,
    /// Volumes that are made on this node's own disk; an absolute path.
    pub storage_dir: PathBuf,
    /// Kubernetes' `/var/log`: container logs are below `pods/`.
    pub log_dir: PathBuf,
    /// Where the kubelet API listens, normally `0.0.0.0:10250`.
    pub listen: SocketAddr,
    pub tls: Tls,
    /// Nameservers of pods with `dnsPolicy: ClusterFirst`.
    pub cluster_dns: Vec<IpAddr>,
    pub cluster_domain: String,
    /// The node's own resolver configuration, for `dnsPolicy: Default`.
    pub resolv_conf: PathBuf,
    /// A range of pod addresses that the node registers with; `None` leaves it to
    /// the cluster to give it one.
    pub pod_cidr: Option<IpNet>,
    /// The cgroup, below each hierarchy's root, that holds all pods' groups.
    pub cgroup_root: String,
    pub max_pods: u32,
    /// Where the images are; it may be another file system than the pods'.
    pub images_dir: PathBuf,
    /// When pods end so that the node does not.
    pub eviction: Eviction,
    pub image_gc: ImageGc,
    /// Tells that the machine stops, and when the pods have.
    pub machine_stop: MachineStop,
    pub shutdown_grace: ShutdownGrace,
    /// Labels and taints the node registers with, besides its own.
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<k8s_openapi::api::core::v1::Taint>,
    /// `kubeletVersion` of the node, such as `v1.37.0+skiff-0.1.0`.
    pub version: String,
    /// Unsafe sysctls that pods may set; a trailing `*` matches a prefix.
    pub allowed_unsafe_sysctls: Vec<String>,
}

/// The kubelet API's own identity and whom it trusts.
#[derive(Clone)]
pub struct Tls {
    /// Its certificate may be replaced while the kubelet runs.
    pub identity: Arc<pki::Identity>,
    /// Signs the API server's client certificate.
    pub client_ca_pem: String,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
