//! Routes of ours, told from all others by their protocol number.

use std::net::Ipv4Addr;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::netlink::{Netlink, code, errno, failed, netlink};
use crate::{Error, Result};

/// Who made a route, as `ip route` shows it: ours is `proto 115` (ASCII 's').
const OURS: RouteProtocol = RouteProtocol::Other(115);

const LOCAL_TABLE: u8 = 255;
const LOOPBACK_INDEX: u32 = 1;

/// Makes the routes to other nodes' pods exactly `peers`. Each is tried; the
/// first failure is returned.
pub async fn set_peers(host: &Netlink, peers: &[(Ipv4Net, Ipv4Addr)]) -> Result<()> {
    let mut present = Vec::new();
    for route in ours(host).await? {
        if route.header.kind != RouteType::Unicast {
            continue;
        }
        match peer_of(&route).filter(|peer| peers.contains(peer)) {
            Some(peer) => present.push(peer),
            None => delete(host, route).await?,
        }
    }
    let mut outcome = Ok(());
    for &(range, via) in peers.iter().filter(|peer| !present.contains(peer)) {
        outcome = outcome.and(add_peer(host, range, via).await);
    }
    outcome
}

async fn add_peer(host: &Netlink, range: Ipv4Net, via: Ipv4Addr) -> Result<()> {
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(range.network(), range.prefix_len())
        .gateway(via)
        .protocol(OURS)
        .build();
    let added = host.handle.route().add(route).replace().execute().await;
    added.map_err(|source| Error::Route {
        range: range.to_string(),
        via: via.into(),
        source,
    })
}

fn peer_of(route: &RouteMessage) -> Option<(Ipv4Net, Ipv4Addr)> {
    let via = route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => Some(*ip),
            _ => None,
        });
    Some((destination_of(route)?, via?))
}

fn destination_of(route: &RouteMessage) -> Option<Ipv4Net> {
    let to = route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(*ip),
            _ => None,
        });
    Ipv4Net::new(to?, route.header.destination_prefix_length).ok()
}

/// Routes the Services' range to this node itself, and no other range.
///
/// `source` is what a process of the node that asks a Service is seen as.
pub async fn ensure_service_range(host: &Netlink, range: Ipv4Net, source: Ipv4Addr) -> Result<()> {
    for route in ours(host).await? {
        let is_this = destination_of(&route) == Some(range);
        // Replacing it below leaves no moment without it.
        if route.header.kind == RouteType::Local && !is_this {
            delete(host, route).await?;
        }
    }
    let doing = format!("route {range} to this node");
    let local = local_route(range);
    let with_source = local.clone().pref_source(source).build();
    match host
        .handle
        .route()
        .add(with_source)
        .replace()
        .execute()
        .await
    {
        // `source` is not (yet) an address of this machine.
        Err(error) if errno(&error) == Some(code::EINVAL) => {
            netlink(
                doing,
                host.handle.route().add(local.build()).replace().execute(),
            )
            .await
        }
        other => other.map_err(|source| failed(doing, source)),
    }
}

fn local_route(range: Ipv4Net) -> RouteMessageBuilder<Ipv4Addr> {
    let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(range.network(), range.prefix_len())
        .output_interface(LOOPBACK_INDEX)
        .kind(RouteType::Local)
        .scope(RouteScope::Host)
        .protocol(OURS);
    route.get_mut().header.table = LOCAL_TABLE;
    route
}

/// Removes every route of ours.
pub async fn remove_all(host: &Netlink) -> Result<()> {
    for route in ours(host).await? {
        delete(host, route).await?;
    }
    Ok(())
}

async fn ours(host: &Netlink) -> Result<Vec<RouteMessage>> {
    let any = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let all = host.handle.route().get(any).execute();
    let ours = all.try_filter(|route| std::future::ready(route.header.protocol == OURS));
    netlink("list routes", ours.try_collect()).await
}

async fn delete(host: &Netlink, route: RouteMessage) -> Result<()> {
    match host.handle.route().del(route).execute().await {
        Err(error) if errno(&error) == Some(code::ESRCH) => Ok(()),
        other => other.map_err(|source| failed("delete a route", source)),
    }
}
