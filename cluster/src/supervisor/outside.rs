//! The world outside, for the nodes and their pods: TCP and names.
//!
//! Nothing is routed. In the nodes' own namespace the kernel leads every TCP
//! connection that leaves the cluster to a socket here; whom it was meant for is
//! connected to by this machine's own stack, as this machine. Names are asked of
//! the gateway, and here of the resolvers that this machine uses. Other
//! protocols do not get out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use nix::sys::socket::{getsockopt, sockopt::OriginalDst};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::hub::Hub;
use crate::Plan;

const TABLE: &str = "outside";
const DNS: u16 = 53;
const MOST_QUERIES: usize = 512;
const LARGEST_PACKET: usize = 65_536;

/// For one resolver to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Serves until the hub is dropped. A cluster without is one all the same.
pub async fn open(hub: &Hub, plan: &Plan) {
    let (nodes, pods) = (plan.node_range(), plan.pods);
    let world = Handle::current();
    let served = hub.spawn(async move { start(nodes, pods, &world).await });
    if let Ok(Err(error)) = served.await {
        tracing::warn!(%error, "nodes and pods cannot reach anything outside of the cluster");
    }
}

/// Inside the nodes' network; `world` makes sockets outside of it.
async fn start(nodes: Ipv4Net, pods: Ipv4Net, world: &Handle) -> io::Result<()> {
    let gateway = nodes.hosts().next().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let connections = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let port = connections.local_addr()?.port();
    netproxy::redirect_tcp(TABLE, nodes, &[nodes, pods], port).map_err(io::Error::other)?;
    let queries = Arc::new(UdpSocket::bind((gateway, DNS)).await?);
    let large_queries = TcpListener::bind((gateway, DNS)).await?;
    tokio::spawn(serve(connections, world.clone(), move |client| {
        meant(client).filter(|to| !is_inside(to, nodes))
    }));
    tokio::spawn(serve(large_queries, world.clone(), |_| {
        resolvers().first().copied()
    }));
    tokio::spawn(names(queries, world.clone()));
    Ok(())
}

/// Whom a redirected connection was meant for.
fn meant(client: &TcpStream) -> Option<SocketAddr> {
    let to = getsockopt(client, OriginalDst).ok()?;
    let ip = Ipv4Addr::from_bits(u32::from_be(to.sin_addr.s_addr));
    Some((ip, u16::from_be(to.sin_port)).into())
}

/// What must not be connected to on a node's behalf: this socket itself, and
/// what listens on this machine for this machine alone.
fn is_inside(to: &SocketAddr, nodes: Ipv4Net) -> bool {
    match to.ip() {
        IpAddr::V4(ip) => nodes.contains(&ip) || ip.is_loopback() || ip.is_unspecified(),
        IpAddr::V6(_) => true,
    }
}

async fn serve(
    listener: TcpListener,
    world: Handle,
    to: impl Fn(&TcpStream) -> Option<SocketAddr>,
) {
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            // Out of descriptors, most likely: it passes as connections end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Some(to) = to(&client) else { continue };
        let connected = world.spawn(TcpStream::connect(to));
        tokio::spawn(async move {
            if let Ok(Ok(mut server)) = connected.await {
                let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

/// Hands queries on, each from a socket of its own.
async fn names(queries: Arc<UdpSocket>, world: Handle) {
    let room = Arc::new(Semaphore::new(MOST_QUERIES));
    let mut packet = vec![0; LARGEST_PACKET];
    loop {
        let Ok((length, client)) = queries.recv_from(&mut packet).await else {
            continue;
        };
        // Who finds no room asks again.
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let asked = world.spawn(ask(packet[..length].to_vec()));
        let queries = queries.clone();
        tokio::spawn(async move {
            if let Ok(Some(answer)) = asked.await {
                let _ = queries.send_to(&answer, client).await;
            }
            drop(permit);
        });
    }
}

/// The first answer that a resolver of this machine gives.
async fn ask(query: Vec<u8>) -> Option<Vec<u8>> {
    for resolver in resolvers() {
        if let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, ask_one(&query, resolver)).await {
            return Some(answer);
        }
    }
    None
}

async fn ask_one(query: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let own: IpAddr = match resolver.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(query).await?;
    let mut answer = vec![0; LARGEST_PACKET];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

/// This machine's resolvers, as they are now: a laptop moves.
fn resolvers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    in_resolv_conf(&text)
}

fn in_resolv_conf(text: &str) -> Vec<SocketAddr> {
    const MOST: usize = 3;
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then_some(())?;
        Some(SocketAddr::new(words.next()?.parse().ok()?, DNS))
    });
    named.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_the_first_three_of_the_file() {
        let text = "# x\nsearch a b\nnameserver 127.0.0.53\nnameserver\nnameserver x\nnameserver 192.0.2.1\n";
        let expected: Vec<SocketAddr> = vec![
            "127.0.0.53:53".parse().unwrap(),
            "192.0.2.1:53".parse().unwrap(),
        ];
        assert_eq!(in_resolv_conf(text), expected);
        assert_eq!(in_resolv_conf(&"nameserver 192.0.2.1\n".repeat(9)).len(), 3);
    }

    #[test]
    fn nodes_do_not_reach_this_machines_loopback() {
        let nodes = "198.19.0.0/24".parse().unwrap();
        for inside in ["127.0.0.1:1", "198.19.0.1:1", "0.0.0.0:1"] {
            assert!(is_inside(&inside.parse().unwrap(), nodes), "{inside}");
        }
        assert!(!is_inside(&"192.0.2.1:443".parse().unwrap(), nodes));
    }
}
