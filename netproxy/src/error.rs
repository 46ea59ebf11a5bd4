use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::Ipv4Net;

/// What can go wrong while a node's network is set up, served or removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused a change of links, addresses or routes.
    #[error("netlink: {doing}")]
    Netlink {
        doing: String,
        source: rtnetlink::Error,
    },
    /// A netlink socket could not be opened; is this process root?
    #[error("open a netlink socket {place}")]
    NetlinkSocket {
        place: &'static str,
        source: io::Error,
    },
    /// The kernel refused our nftables table.
    #[error("nftables: {doing}")]
    Nftables {
        doing: &'static str,
        source: io::Error,
    },
    /// The network namespace of a pod could not be entered; is it gone?
    #[error("enter the network namespace of pod {pod_uid}")]
    EnterNamespace { pod_uid: String, source: io::Error },
    /// A link with our name exists and is not what we would have made.
    #[error("interface {name} exists and is not a {wanted}; remove or rename it")]
    ForeignLink { name: String, wanted: &'static str },
    /// An interface name the kernel would not take.
    #[error("{name:?} is not a name for a bridge: 1 to 10 letters, digits, '-' or '_'")]
    BridgeName { name: String },
    /// The node's pod range is too small to hold a gateway and a pod.
    #[error("pod range {range} is too small: it must be /30 or larger")]
    RangeTooSmall { range: Ipv4Net },
    /// Every address of the node's pod range is held by a pod.
    #[error("no free pod address is left in {range}")]
    AddressesExhausted { range: Ipv4Net },
    /// A file of ours could not be read or written.
    #[error("{doing} {}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// The record of pod addresses is damaged while pods still run.
    #[error(
        "{} is damaged and pods are still attached; stop the pods, or restore the file",
        path.display()
    )]
    DamagedRecord {
        path: PathBuf,
        source: serde_json::Error,
    },
    /// Something else holds an address we must listen on.
    #[error("listen on {protocol} {address}")]
    Listen {
        protocol: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    /// A forwarding thread could not be started.
    #[error("start a forwarding thread")]
    Worker { source: io::Error },
    /// The domain given for the cluster is no DNS name.
    #[error("{domain:?} is not a DNS domain")]
    Domain { domain: String },
    /// Two routes to other nodes' pods contradict each other.
    #[error("route to pods {range} by {via}")]
    Route {
        range: String,
        via: IpAddr,
        source: rtnetlink::Error,
    },
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
