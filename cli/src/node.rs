//! The parts that run on every node: kubelet, pod network, Services, DNS.

pub mod address;
pub mod join;
mod network;
pub mod pressure_flags;
mod program;
pub mod ready;
pub mod registration;
pub mod servers;
pub mod skew;
pub mod tunnel;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context;
use ipnet::Ipv4Net;
use kube::Client;
use runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster_flags::NodeFlags;
use crate::instance::Instance;

/// What a node is started with.
pub struct Node {
    pub instance: Instance,
    pub flags: NodeFlags,
    pub name: String,
    pub ip: Ipv4Addr,
    /// The kubelet's own identity, and whom it lets in.
    pub tls: kubelet::Tls,
    pub service_cidr: Ipv4Net,
    pub cluster_cidr: Ipv4Net,
    pub machine_stop: kubelet::MachineStop,
}

impl Node {
    /// Starts the node's parts; each runs until `shutdown`.
    pub fn start(
        self,
        client: Client,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (run_dir, groups) = (&self.instance.run_dir, &self.instance.cgroup_root);
        let runtime = Runtime::open(runtime::Config {
            monitor: program::copy_into(&self.instance.program_dir())?,
            ..runtime::Config::new(run_dir, groups)
        })?;
        let images = crate::registries::images(&self.instance, self.flags.registries.as_deref())?;
        let (network, opened) = tokio::sync::watch::channel(None);
        let pod_network = network::keep(self.network(), client.clone(), network, shutdown.clone());
        tasks.spawn(async move { pod_network.await.context("pod network") });

        let proxy = netproxy::run(self.proxy(), client.clone(), shutdown.clone());
        tasks.spawn(async move { proxy.await.context("Service proxy and DNS") });

        let kubelet = kubelet::run(
            self.kubelet()?,
            client,
            runtime,
            images,
            opened,
            shutdown.clone(),
        );
        tasks.spawn(async move { kubelet.await.context("kubelet") });
        Ok(())
    }

    fn network(&self) -> network::Config {
        network::Config {
            node_name: self.name.clone(),
            bridge: self.instance.bridge.clone(),
            cluster_cidr: self.cluster_cidr,
            node_ip: self.ip,
            state_dir: self.instance.network_dir(),
        }
    }

    fn proxy(&self) -> netproxy::Config {
        netproxy::Config {
            service_cidr: self.service_cidr,
            dns_listen: SocketAddr::new(IpAddr::V4(self.flags.cluster_dns), 53),
            cluster_domain: self.flags.cluster_domain.clone(),
            resolv_conf: self.flags.resolv_conf.clone(),
            ..netproxy::Config::new(self.name.clone(), self.ip)
        }
    }

    fn kubelet(&self) -> anyhow::Result<kubelet::Config> {
        Ok(kubelet::Config {
            node_name: self.name.clone(),
            node_ip: self.ip.into(),
            data_dir: self.instance.kubelet_dir(),
            storage_dir: self.instance.storage_dir(),
            log_dir: self.instance.log_dir(),
            listen: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.flags.kubelet_port),
            tls: self.tls.clone(),
            cluster_dns: vec![self.flags.cluster_dns.into()],
            cluster_domain: self.flags.cluster_domain.clone(),
            resolv_conf: self.flags.resolv_conf.clone(),
            pod_cidr: None,
            cgroup_root: self.instance.cgroup_root.clone(),
            max_pods: self.flags.max_pods,
            images_dir: self.instance.images_dir(),
            eviction: self.flags.pressure.eviction()?,
            image_gc: self.flags.pressure.image_gc()?,
            machine_stop: self.machine_stop.clone(),
            shutdown_grace: self.flags.shutdown_grace(),
            labels: self.flags.registration.labels(),
            taints: self.flags.registration.register_with_taints.clone(),
            version: release::kubernetes().to_owned(),
            allowed_unsafe_sysctls: Vec::new(),
        })
    }
}
