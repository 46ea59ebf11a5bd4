//! The pod network of one node: a bridge, a veth pair a pod, routes to the
//! pods of other nodes, masquerade for what leaves the cluster.
//!
//! A pod's traffic to a Service is local to its node (see [`crate::proxy`]),
//! so nothing here knows Services, and a pod that asks a Service which picks
//! that very pod needs no hairpin.

mod lease;
mod link;
mod netlink;
mod nft;
mod remove;
mod route;
mod sysctl;

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::Ipv4Net;
use rtnetlink::packet_route::link::LinkAttribute;

use crate::{Error, Result};
use lease::Leases;
use netlink::Netlink;
pub use nft::redirect_tcp;
pub use remove::remove_everything;

/// What the pod network of a node is made from.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Name of the bridge; everything else that is made is named after it.
    pub bridge: String,
    /// This node's pods; the first address is the gateway's.
    pub pod_cidr: Ipv4Net,
    /// All nodes' pods: traffic to them is not masqueraded.
    pub cluster_cidr: Ipv4Net,
    pub node_ip: Ipv4Addr,
    /// `None` takes the MTU of the interface that holds `node_ip`.
    pub mtu: Option<u32>,
    /// Directory for what must outlive this process; made if absent.
    pub state_dir: PathBuf,
}

/// The address a pod was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodAddress {
    pub ip: Ipv4Addr,
    pub prefix_len: u8,
    pub gateway: Ipv4Addr,
}

/// The pod network of this node.
pub struct PodNetwork {
    config: NetworkConfig,
    host: Netlink,
    bridge: u32,
    mtu: u32,
    leases: Mutex<Leases>,
}

impl PodNetwork {
    /// Makes (or finds again) bridge, gateway address, forwarding and masquerade,
    /// in the network namespace of the calling thread.
    pub async fn open(config: NetworkConfig) -> Result<Self> {
        link::check_bridge_name(&config.bridge)?;
        std::fs::create_dir_all(&config.state_dir)
            .map_err(|source| lease::file_error("create", &config.state_dir, source))?;
        let host = Netlink::open()?;
        let leases = open_leases(&host, &config).await?;
        let mtu = match config.mtu {
            Some(mtu) => mtu,
            None => mtu_of_node(&host, config.node_ip).await?,
        };
        let bridge = link::ensure_bridge(&host, &config, leases.gateway(), mtu).await?;
        sysctl::set(&config.state_dir, sysctl::IP_FORWARD, "1")?;
        masquerade(&config).await;
        let leases = Mutex::new(leases);
        Ok(Self {
            config,
            host,
            bridge,
            mtu,
            leases,
        })
    }

    /// Gives the pod whose network namespace is `netns` its `eth0`; once more
    /// for the same pod gives the same address.
    pub async fn attach(&self, pod_uid: &str, netns: BorrowedFd<'_>) -> Result<PodAddress> {
        let ip = self.leases().lease(pod_uid)?;
        let address = self.describe(ip);
        let pod = Netlink::open_in(pod_uid, netns)?;
        let name = link::host_end(&self.config.bridge, pod_uid);
        if self.host.link(&name).await?.is_some() {
            if pod.link(link::POD_LINK).await?.is_some() {
                // An agent killed half way may have left it without a route.
                link::configure_pod(&pod, address).await?;
                return Ok(address);
            }
            // It leads into a namespace the pod no longer has.
            self.host.delete_link(&name).await?;
        }
        link::create_veth(&self.host, &name, self.bridge, self.mtu, ip, netns).await?;
        link::configure_pod(&pod, address).await?;
        Ok(address)
    }

    /// Takes the pod's interface and address away; a pod never attached is no error.
    pub async fn detach(&self, pod_uid: &str) -> Result<()> {
        let name = link::host_end(&self.config.bridge, pod_uid);
        self.host.delete_link(&name).await?;
        self.leases().release(pod_uid)
    }

    /// The address the pod holds, if attached.
    pub fn address_of(&self, pod_uid: &str) -> Option<PodAddress> {
        let held = self.leases().get(pod_uid);
        held.map(|ip| self.describe(ip))
    }

    /// Uids of pods that hold an address: a restarted agent detaches those
    /// that are gone.
    pub fn pods(&self) -> Vec<String> {
        self.leases().pods()
    }

    /// Makes the routes to other nodes' pods exactly `peers`: (pod range, node address).
    pub async fn set_routes(&self, peers: Vec<(Ipv4Net, Ipv4Addr)>) -> Result<()> {
        route::set_peers(&self.host, &peers).await
    }

    /// Removes everything ever made here: see [`crate::remove_everything`].
    pub async fn remove_everything(&self) -> Result<()> {
        crate::remove_everything(&self.config.bridge, &self.config.state_dir).await
    }

    fn describe(&self, ip: Ipv4Addr) -> PodAddress {
        let prefix_len = self.config.pod_cidr.prefix_len();
        let gateway = lease::gateway(self.config.pod_cidr);
        PodAddress {
            ip,
            prefix_len,
            gateway,
        }
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        // The table is changed back where its record cannot be written, so
        // it is sound even if a holder of the lock panicked.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Routes the range of Services to this node itself, which proxy and DNS need
/// before they can listen. Once more changes nothing.
pub async fn route_services(config: &crate::Config) -> Result<()> {
    let host = Netlink::open()?;
    route::ensure_service_range(&host, config.service_cidr, config.node_ip).await
}

/// The recorded leases; a damaged record is given up only where no pod can
/// hold an address from it.
async fn open_leases(host: &Netlink, config: &NetworkConfig) -> Result<Leases> {
    let damaged = match Leases::open(&config.state_dir, config.pod_cidr) {
        Err(error @ Error::DamagedRecord { .. }) => error,
        other => return other,
    };
    if let Some(bridge) = host.link(&config.bridge).await?
        && !host.ports_of(bridge.header.index).await?.is_empty()
    {
        return Err(damaged);
    }
    tracing::warn!(error = %damaged, "no pod is attached: starting an empty record of pod addresses");
    Ok(Leases::start_over(&config.state_dir, config.pod_cidr))
}

/// The MTU pods may use so that what they send fits the node's own link.
async fn mtu_of_node(host: &Netlink, node_ip: Ipv4Addr) -> Result<u32> {
    const ETHERNET: u32 = 1500;
    let addresses = host.addresses().await?;
    let Some((_, index)) = addresses.iter().find(|(ip, _)| *ip == node_ip) else {
        return Ok(ETHERNET);
    };
    let mut link = host.handle.link().get().match_index(*index).execute();
    let link = netlink::netlink(
        "read the node's MTU",
        futures::TryStreamExt::try_next(&mut link),
    );
    let attributes = link.await?.map(|link| link.attributes).unwrap_or_default();
    let mtu = attributes.iter().find_map(|attribute| match attribute {
        // The loopback's 65536 is not what a veth pair would take.
        LinkAttribute::Mtu(mtu) => Some(*mtu).filter(|mtu| *mtu <= 65_535),
        _ => None,
    });
    Ok(mtu.unwrap_or(ETHERNET))
}

/// Without masquerade pods reach all of the cluster, and nothing outside that
/// has no route back to them: worth a warning, not worth failing.
async fn masquerade(config: &NetworkConfig) {
    if let Err(error) = nft::install(&config.bridge, config.pod_cidr, config.cluster_cidr) {
        tracing::warn!(
            %error, cause = ?std::error::Error::source(&error).map(ToString::to_string),
            "no masquerade: pods cannot reach addresses outside the cluster; load the kernel's nf_tables and nft_masq"
        );
        return;
    }
    if nft::drops_forwarded().unwrap_or(false) {
        tracing::warn!(
            "a firewall on this machine drops forwarded packets by policy (Docker does so): \
             pods reach neither other nodes nor the outside until it accepts {}",
            config.cluster_cidr
        );
    }
}
