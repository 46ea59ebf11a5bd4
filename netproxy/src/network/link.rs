//! The bridge and the pods' veth pairs.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::netlink::{Netlink, code, errno, failed, netlink};
use super::{NetworkConfig, PodAddress};
use crate::{Error, Result};

/// The pod's end of its veth pair.
pub const POD_LINK: &str = "eth0";

const LOOPBACK_INDEX: u32 = 1;

/// Makes the bridge with the gateway's address, or finds and completes it;
/// returns its index.
pub async fn ensure_bridge(
    host: &Netlink,
    config: &NetworkConfig,
    gateway: Ipv4Addr,
    mtu: u32,
) -> Result<u32> {
    let name = config.bridge.as_str();
    let index = match host.link(name).await? {
        Some(link) if kind(&link) == Some(&InfoKind::Bridge) => link.header.index,
        Some(_) => {
            let name = name.to_owned();
            return Err(Error::ForeignLink {
                name,
                wanted: "bridge",
            });
        }
        None => create_bridge(host, name, gateway).await?,
    };
    let up = LinkUnspec::new_with_index(index).mtu(mtu).up().build();
    netlink(
        format!("bring up {name}"),
        host.handle.link().change(up).execute(),
    )
    .await?;
    let prefix_len = config.pod_cidr.prefix_len();
    add_address(host, index, gateway, prefix_len, name).await?;
    Ok(index)
}

async fn create_bridge(host: &Netlink, name: &str, gateway: Ipv4Addr) -> Result<u32> {
    // A bridge without an address of its own takes that of a port, and changes
    // it when ports come and go, under the pods' ARP caches.
    let bridge = LinkBridge::new(name)
        .address(mac_of(gateway).to_vec())
        .build();
    netlink(
        format!("create bridge {name}"),
        host.handle.link().add(bridge).execute(),
    )
    .await?;
    let made = host.link(name).await?;
    made.map(|link| link.header.index).ok_or_else(|| {
        let name = name.to_owned();
        Error::ForeignLink {
            name,
            wanted: "bridge",
        }
    })
}

fn kind(link: &LinkMessage) -> Option<&InfoKind> {
    link.attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(info) => info.iter().find_map(|part| match part {
                LinkInfo::Kind(kind) => Some(kind),
                _ => None,
            }),
            _ => None,
        })
}

async fn add_address(
    netns: &Netlink,
    index: u32,
    ip: Ipv4Addr,
    prefix_len: u8,
    link: &str,
) -> Result<()> {
    let request = netns.handle.address().add(index, ip.into(), prefix_len);
    match request.execute().await {
        Err(error) if errno(&error) == Some(code::EEXIST) => Ok(()),
        other => other.map_err(|source| failed(format!("add address {ip} to {link}"), source)),
    }
}

/// One end in the pod as `eth0`, the other on the bridge: one request, so that
/// a crash leaves both or none. The pod's end can only be brought up later: it
/// has no peer yet while it is made.
pub async fn create_veth(
    host: &Netlink,
    name: &str,
    bridge: u32,
    mtu: u32,
    ip: Ipv4Addr,
    netns: BorrowedFd<'_>,
) -> Result<()> {
    let pod_end = LinkMessageBuilder::<LinkUnspec>::new()
        .name(POD_LINK)
        .address(mac_of(ip).to_vec())
        .mtu(mtu)
        .setns_by_fd(netns.as_raw_fd())
        .build();
    let pair = LinkVeth::new(name, POD_LINK)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(pod_end)))
        .mtu(mtu)
        .controller(bridge)
        .up()
        .build();
    netlink(
        format!("create veth pair {name}"),
        host.handle.link().add(pair).execute(),
    )
    .await
}

/// Brings up `lo` and `eth0` in the pod, with address and default route; what
/// is there already stays.
pub async fn configure_pod(pod: &Netlink, address: PodAddress) -> Result<()> {
    let lo = LinkUnspec::new_with_index(LOOPBACK_INDEX).up().build();
    netlink(
        "bring up lo in the pod",
        pod.handle.link().change(lo).execute(),
    )
    .await?;
    let Some(link) = pod.link(POD_LINK).await? else {
        let name = POD_LINK.to_owned();
        return Err(Error::ForeignLink {
            name,
            wanted: "veth",
        });
    };
    let index = link.header.index;
    add_address(pod, index, address.ip, address.prefix_len, POD_LINK).await?;
    let up = LinkUnspec::new_with_index(index).up().build();
    netlink(
        "bring up eth0 in the pod",
        pod.handle.link().change(up).execute(),
    )
    .await?;
    let default = RouteMessageBuilder::<Ipv4Addr>::new()
        .gateway(address.gateway)
        .build();
    let route = pod.handle.route().add(default).replace().execute();
    netlink("add the pod's default route", route).await
}

/// The host's end of the pod's pair: from the pod's uid alone, so that what a
/// crash left is found; with the bridge in it, so that two nodes on one
/// machine do not meet.
pub fn host_end(bridge: &str, pod_uid: &str) -> String {
    let hash = fnv1a(&[bridge.as_bytes(), b"/", pod_uid.as_bytes()]);
    format!("sk{:012x}", hash & 0xffff_ffff_ffff)
}

/// Whether an interface's name is one that [`host_end`] makes.
pub fn is_host_end(name: &str) -> bool {
    let is_hash = |hash: &str| hash.len() == 12 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    name.strip_prefix("sk").is_some_and(is_hash)
}

/// FNV-1a: stable over releases, which the standard library's hasher is not.
fn fnv1a(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A hardware address that follows from the IP: who gets the address next is
/// reached at once, whatever the neighbours remember.
fn mac_of(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [0x0a, 0x58, a, b, c, d]
}

/// Linux takes 15 bytes; ours are fewer, as names are made from this one.
pub fn check_bridge_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=10).contains(&name.len()) && name.chars().all(is_plain) {
        return Ok(());
    }
    let name = name.to_owned();
    Err(Error::BridgeName { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_end_is_the_same_in_every_release() {
        assert_eq!(host_end("skiff0", "a1b2"), host_end("skiff0", "a1b2"));
        assert_eq!(fnv1a(&[b"foobar"]), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn host_end_fits_an_interface_name_and_tells_nodes_apart() {
        let uid = "0f9d5e2a-5a0e-4f7e-9c57-1c2f8d5f1b11";
        assert_eq!(host_end("skiff0", uid).len(), 14);
        assert_ne!(host_end("skiff0", uid), host_end("skiff1", uid));
        assert!(is_host_end(&host_end("skiff0", uid)));
        assert!(!is_host_end("skiff0"));
    }

    #[test]
    fn bridge_name_with_a_slash_is_refused() {
        assert!(check_bridge_name("skiff0").is_ok());
        assert!(check_bridge_name("../x").is_err());
        assert!(check_bridge_name("").is_err());
        assert!(check_bridge_name("elevenchars").is_err());
    }
}
