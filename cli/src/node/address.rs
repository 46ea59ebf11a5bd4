//! The address that other machines reach this one at.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context, bail};

/// The source address of the default route; loopback where there is no route.
///
/// Connecting a UDP socket asks the routing table and sends nothing.
pub fn find() -> anyhow::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("open a UDP socket")?;
    // An address of the documentation range (RFC 5737): never ours, always "outside".
    let outside = (Ipv4Addr::new(203, 0, 113, 1), 9);
    let local = socket.connect(outside).and_then(|()| socket.local_addr());
    match local.map(|addr| addr.ip()) {
        Ok(std::net::IpAddr::V4(ip)) => Ok(ip),
        _ => first_of_interfaces(),
    }
}

fn first_of_interfaces() -> anyhow::Result<Ipv4Addr> {
    let addresses = nix::ifaddrs::getifaddrs().context("list the machine's addresses")?;
    let v4 = addresses.filter_map(|a| Some(a.address?.as_sockaddr_in()?.ip()));
    match v4
        .into_iter()
        .find(|ip| !ip.is_loopback() && !ip.is_link_local())
    {
        Some(ip) => Ok(ip),
        None => bail!("this machine has no IPv4 address but loopback; give one with --node-ip"),
    }
}
