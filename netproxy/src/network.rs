//! The pod network of one node: a bridge, a veth pair a pod, routes to the
//! pods of other nodes, masquerade for what leaves the cluster.

use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use ipnet::Ipv4Net;

use crate::Result;

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
}

impl PodNetwork {
    /// Makes (or finds again) bridge, gateway address, forwarding and masquerade.
    pub async fn open(config: NetworkConfig) -> Result<Self> {
        Ok(Self { config })
    }

    /// Gives the pod whose network namespace is `netns` its `eth0`; once more
    /// for the same pod gives the same address.
    pub async fn attach(&self, _pod_uid: &str, _netns: BorrowedFd<'_>) -> Result<PodAddress> {
        todo!()
    }

    /// Takes the pod's interface and address away; a pod never attached is no error.
    pub async fn detach(&self, _pod_uid: &str) -> Result<()> {
        todo!()
    }

    /// The address the pod holds, if attached.
    pub fn address_of(&self, _pod_uid: &str) -> Option<PodAddress> {
        todo!()
    }

    /// Pods that hold an address; what a restarted agent detaches if they are gone.
    pub fn pods(&self) -> Vec<String> {
        todo!()
    }

    /// Makes the routes to other nodes' pods exactly `peers`: (pod range, node address).
    pub async fn set_routes(&self, _peers: Vec<(Ipv4Net, Ipv4Addr)>) -> Result<()> {
        todo!()
    }

    /// Removes everything ever made here: see [`crate::remove_everything`].
    pub async fn remove_everything(&self) -> Result<()> {
        crate::remove_everything(&self.config.bridge, &self.config.state_dir).await
    }
}
