//! What comes to a socket of this machine goes on to a node, and back.
//!
//! These tasks run inside the nodes' network: the sockets they are given are
//! this machine's, those they make are the nodes'.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// After which a client's UDP packets are those of a new one.
const QUIET: Duration = Duration::from_secs(60);
const MOST_CLIENTS: usize = 4096;
const LARGEST_PACKET: usize = 65_536;

/// Forwards connections until the task is dropped.
pub async fn tcp(listener: std::net::TcpListener, to: SocketAddr) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a port cannot be served"),
    };
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(connection(client, to))),
            // Out of descriptors, most likely: it passes as connections end.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(mut client: TcpStream, to: SocketAddr) {
    let _ = client.set_nodelay(true);
    match TcpStream::connect(to).await {
        Ok(mut node) => {
            let _ = node.set_nodelay(true);
            let _ = copy_bidirectional(&mut client, &mut node).await;
        }
        Err(error) => tracing::debug!(%to, %error, "a connection to a node was refused"),
    }
}

type Clients = Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>>;

/// Forwards packets until the task is dropped.
pub async fn udp(socket: std::net::UdpSocket, to: SocketAddr) {
    let socket = match UdpSocket::from_std(socket) {
        Ok(socket) => Arc::new(socket),
        Err(error) => return tracing::error!(%error, "a port cannot be served"),
    };
    let clients = Clients::default();
    let mut packet = vec![0; LARGEST_PACKET];
    loop {
        // An error is of an earlier packet that nobody wanted.
        let Ok((length, client)) = socket.recv_from(&mut packet).await else {
            continue;
        };
        if let Some(node) = flow(&clients, client, to, &socket).await {
            let _ = node.send(&packet[..length]).await;
        }
    }
}

/// The client's own socket towards the node.
async fn flow(
    clients: &Clients,
    client: SocketAddr,
    to: SocketAddr,
    back: &Arc<UdpSocket>,
) -> Option<Arc<UdpSocket>> {
    let known = {
        let clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = clients.get(&client) {
            return Some(node.clone());
        }
        clients.len()
    };
    if known >= MOST_CLIENTS {
        return None;
    }
    let node = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    node.connect(to).await.ok()?;
    let node = Arc::new(node);
    clients
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(client, node.clone());
    let (answers, clients, back) = (node.clone(), clients.clone(), back.clone());
    tokio::spawn(async move {
        answer(&answers, client, &back).await;
        clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&client);
    });
    Some(node)
}

/// Sends the node's answers back until there are none for a while.
async fn answer(node: &UdpSocket, client: SocketAddr, back: &UdpSocket) {
    let mut packet = vec![0; LARGEST_PACKET];
    while let Ok(received) = tokio::time::timeout(QUIET, node.recv(&mut packet)).await {
        // Refused, where nobody listens: that passes.
        if let Ok(length) = received {
            let _ = back.send_to(&packet[..length], client).await;
        }
    }
}
