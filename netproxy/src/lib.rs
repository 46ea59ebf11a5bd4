//! A node's part of the cluster network: the pod network, Services, DNS.
//!
//! * [`PodNetwork`] gives pods their interface and address.
//! * [`proxy`] forwards what is sent to a Service's address to its endpoints,
//!   in userspace: no kernel rule is made for a Service.
//! * [`dns`] answers names of Services and pods from memory, and asks the
//!   node's resolver for all others.
//!
//! Proxy and DNS share one picture of the cluster, [`cluster::State`]. All
//! that is made on the node (links, addresses, routes, one nftables table,
//! sysctls) is named or marked as ours, so that [`remove_everything`] finds it
//! also after a crash.

pub mod cluster;
pub mod dns;
mod error;
mod metrics;
mod network;
pub mod proxy;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::Ipv4Net;
use tokio_util::sync::CancellationToken;

pub use error::{Error, Result};
pub use network::{
    NetworkConfig, PodAddress, PodNetwork, redirect_tcp, remove_everything, route_services,
};

/// What a node's proxy and DNS are run with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this node, by which its own endpoints are told from others'.
    pub node_name: String,
    pub node_ip: Ipv4Addr,
    /// Addresses of Services; routed to this node itself.
    pub service_cidr: Ipv4Net,
    /// Where DNS is answered; normally inside `service_cidr`.
    pub dns_listen: SocketAddr,
    pub cluster_domain: String,
    /// Names the resolvers for names outside the cluster.
    pub resolv_conf: PathBuf,
    /// Forwarding threads; `None` is one a processor, at most four.
    pub workers: Option<usize>,
}

impl Config {
    /// The defaults of a skiff cluster.
    pub fn new(node_name: impl Into<String>, node_ip: Ipv4Addr) -> Self {
        Self {
            node_name: node_name.into(),
            node_ip,
            service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12),
            dns_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10)), 53),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            workers: None,
        }
    }
}

/// Serves Services and DNS on this node until `shutdown`.
///
/// Starts to listen once Services and endpoints were listed, and waits for the
/// API server as long as that takes.
///
/// # Errors
/// Where the Services' range cannot be routed to this node, no thread can be
/// started, or `cluster_domain` is no DNS name.
pub async fn run(config: Config, client: kube::Client, shutdown: CancellationToken) -> Result<()> {
    metrics::tell();
    let state = cluster::State::new();
    // Whatever ends first ends the others.
    let shutdown = shutdown.child_token();
    let _end = shutdown.clone().drop_guard();
    let (listed, mut is_listed) = tokio::sync::watch::channel(false);
    let serve = async {
        tokio::select! {
            _ = is_listed.wait_for(|listed| *listed) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        route_services(&config).await?;
        tokio::try_join!(
            proxy::run(&config, state.clone(), shutdown.clone()),
            dns::run(&config, state.clone(), shutdown.clone()),
        )?;
        Ok(())
    };
    let watch = cluster::watch::run(&state, client, &listed, &shutdown);
    let (served, ()) = tokio::join!(
        async {
            let served = serve.await;
            shutdown.cancel();
            served
        },
        watch
    );
    served
}
