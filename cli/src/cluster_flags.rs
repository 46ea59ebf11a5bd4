//! Flags that describe the cluster and the node, under Kubernetes' names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use ipnet::Ipv4Net;

use crate::access_flags::AccessFlags;
use crate::datastore::DatastoreFlags;
use crate::instance::Instance;
use crate::manifests;
use crate::node::pressure_flags::PressureFlags;
use crate::node::registration::RegistrationFlags;

/// What the API server is told; the same on every server of a cluster.
#[derive(Args, Clone, Debug)]
pub struct ServerFlags {
    /// Address to serve the Kubernetes API on
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    pub bind_address: IpAddr,

    /// Port to serve the Kubernetes API on
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    pub secure_port: u16,

    /// Address that nodes and pods reach this server at [default: the node's address]
    #[arg(long, value_name = "IP")]
    pub advertise_address: Option<Ipv4Addr>,

    /// Addresses of Services
    #[arg(long, default_value = "10.96.0.0/12", value_name = "CIDR")]
    pub service_cluster_ip_range: Ipv4Net,

    /// Ports of Services of type NodePort
    #[arg(long, default_value = "30000-32767", value_name = "FROM-TO", value_parser = parse_port_range)]
    pub service_node_port_range: (u16, u16),

    /// Addresses of pods; each node gets a /24 of them
    #[arg(long, default_value = "10.244.0.0/16", value_name = "CIDR")]
    pub cluster_cidr: Ipv4Net,

    /// How long a node may be silent before it counts as lost
    #[arg(long, default_value = "50s", value_name = "DURATION", value_parser = parse_duration)]
    pub node_monitor_grace_period: Duration,

    /// The longest life of certificates of nodes, people and this server; those of nodes and
    /// servers live a day at most, and renew by themselves
    #[arg(long, default_value = "8760h", value_name = "DURATION", value_parser = parse_duration)]
    pub cluster_signing_duration: Duration,

    /// A KubeSchedulerConfiguration: profiles, plugins and their arguments
    #[arg(long, value_name = "FILE")]
    pub scheduler_config: Option<PathBuf>,

    /// Bytes of objects that may be kept, such as 500Mi; new ones beyond are refused (0: no bound)
    #[arg(long, default_value = "2Gi", value_name = "SIZE", value_parser = parse_size)]
    pub store_quota: u64,

    /// Directory of objects to apply at start and on change, and to delete with their files
    /// [default: /etc/skiff/manifests, unless --data-dir is given]
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,

    #[command(flatten)]
    pub access: AccessFlags,

    #[command(flatten)]
    pub datastore: DatastoreFlags,
}

/// What a node is told.
#[derive(Args, Clone, Debug)]
pub struct NodeFlags {
    /// Name of this node [default: the host's name]
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,

    /// Address that other machines reach this node at [default: that of the default route]
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<Ipv4Addr>,

    /// Port of the kubelet's own API
    #[arg(long, default_value_t = 10250, value_name = "PORT")]
    pub kubelet_port: u16,

    /// Address of the cluster's DNS
    #[arg(long, default_value = "10.96.0.10", value_name = "IP")]
    pub cluster_dns: Ipv4Addr,

    /// Domain of the cluster's names
    #[arg(long, default_value = "cluster.local", value_name = "DOMAIN")]
    pub cluster_domain: String,

    /// Most pods on this node
    #[arg(long, default_value_t = 110, value_name = "N")]
    pub max_pods: u32,

    #[command(flatten)]
    pub pressure: PressureFlags,

    /// How long pods may take to end when the machine stops
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = parse_duration)]
    pub shutdown_grace_period: Duration,

    /// What of it is kept for critical pods, which end last
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = parse_duration)]
    pub shutdown_grace_period_critical_pods: Duration,

    /// Resolver configuration of the node, for names outside the cluster
    #[arg(long, default_value = "/etc/resolv.conf", value_name = "FILE")]
    pub resolv_conf: PathBuf,

    /// Mirrors, credentials and authorities of image registries, as k3s' registries.yaml
    /// [default: /etc/skiff/registries.yaml if there is one, unless --data-dir is given]
    #[arg(long, value_name = "FILE")]
    pub registries: Option<PathBuf>,

    #[command(flatten)]
    pub registration: RegistrationFlags,
}

impl ServerFlags {
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.secure_port)
    }

    pub fn store_options(&self) -> store::Options {
        store::Options {
            quota: (self.store_quota > 0).then_some(self.store_quota),
            ..store::Options::default()
        }
    }

    /// How pods are scheduled: as the file says, or as by default.
    pub fn scheduler_config(&self) -> anyhow::Result<scheduler::Config> {
        let Some(path) = &self.scheduler_config else {
            return Ok(scheduler::Config::default());
        };
        let named = || format!("scheduler configuration {}", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        scheduler::Config::parse(&text).with_context(named)
    }

    /// Where objects are kept as files; a second skiff of a machine has none by default.
    pub fn manifests_dir(&self, instance: &Instance) -> Option<PathBuf> {
        let own = || {
            instance
                .is_the_machines_own()
                .then(|| manifests::DIR.into())
        };
        self.manifests.clone().or_else(own)
    }

    /// The address of the Service `kubernetes`: the first of the range.
    pub fn kubernetes_service_ip(&self) -> Ipv4Addr {
        self.service_cluster_ip_range
            .hosts()
            .next()
            .unwrap_or(Ipv4Addr::UNSPECIFIED)
    }
}

impl NodeFlags {
    pub fn shutdown_grace(&self) -> kubelet::ShutdownGrace {
        kubelet::ShutdownGrace {
            all: self.shutdown_grace_period,
            critical: self.shutdown_grace_period_critical_pods,
        }
    }

    pub fn name(&self) -> anyhow::Result<String> {
        if let Some(name) = &self.node_name {
            return Ok(name.clone());
        }
        let host = nix::unistd::gethostname().context("read the host's name")?;
        Ok(host.to_string_lossy().to_lowercase())
    }

    pub fn ip(&self) -> anyhow::Result<Ipv4Addr> {
        match self.node_ip {
            Some(ip) => Ok(ip),
            None => crate::node::address::find(),
        }
    }
}

pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    parsed
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| format!("{text:?} is not a duration such as 50s or 1m30s"))
}

fn parse_size(text: &str) -> Result<u64, String> {
    let parsed = text.parse::<apimachinery::quantity::Quantity>().ok();
    parsed
        .and_then(|size| u64::try_from(size.value()).ok())
        .ok_or_else(|| format!("{text:?} is not a size such as 500Mi or 2Gi"))
}

fn parse_port_range(text: &str) -> Result<(u16, u16), String> {
    let range = text.split_once('-').and_then(|(from, to)| {
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        (from > 0 && from <= to).then_some((from, to))
    });
    range.ok_or_else(|| format!("{text:?} is not a range of ports such as 30000-32767"))
}
