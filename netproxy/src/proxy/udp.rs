//! UDP: each client address gets an endpoint and a socket to it, until it
//! falls silent or the endpoint goes.

mod flow;
mod packet;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::backends::Backends;
use flow::Flow;

/// Clients served at a time by one frontend; packets of more are dropped, as
/// a full conntrack table would.
const MAX_FLOWS: usize = 8192;

/// Who asks, and at which of the node's addresses: answers come from there.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    address: SocketAddrV4,
    asked: Ipv4Addr,
}

/// One frontend.
struct Server {
    socket: UdpSocket,
    backends: Arc<Backends>,
    flows: Mutex<HashMap<Client, Arc<Flow>>>,
    close: CancellationToken,
}

/// Forwards packets until `close`; the flows end with it.
pub async fn serve(socket: std::net::UdpSocket, backends: Arc<Backends>, close: CancellationToken) {
    let socket = match UdpSocket::from_std(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "cannot watch a UDP socket");
            return;
        }
    };
    let flows = Mutex::default();
    let server = Arc::new(Server {
        socket,
        backends,
        flows,
        close,
    });
    tokio::select! {
        () = receive(&server) => {}
        () = server.close.cancelled() => {}
    }
}

async fn receive(server: &Arc<Server>) {
    let mut buffer = vec![0; packet::LARGEST].into_boxed_slice();
    loop {
        let call = || packet::receive(&server.socket, &mut buffer);
        match server.socket.async_io(Interest::READABLE, call).await {
            Ok((length, client)) => {
                if let Err(error) = server.deliver(client, &buffer[..length]) {
                    tracing::debug!(client = %client.address, %error, "packet to a Service dropped");
                }
            }
            // An answer that bounced; the client that left is not ours to mind.
            Err(error) => tracing::trace!(%error, "receive"),
        }
    }
}

impl Server {
    /// Sends on by the client's flow; where its endpoint refused, by another.
    fn deliver(self: &Arc<Self>, client: Client, packet: &[u8]) -> io::Result<()> {
        let known = self.flows().get(&client).cloned();
        let failed = match known {
            None => None,
            Some(flow) => match flow.send(packet) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    self.forget(client, &flow);
                    Some(flow.endpoint)
                }
                other => return other,
            },
        };
        self.open_flow(client, failed)?.send(packet)
    }

    fn open_flow(
        self: &Arc<Self>,
        client: Client,
        failed: Option<SocketAddrV4>,
    ) -> io::Result<Arc<Flow>> {
        if self.flows().len() >= MAX_FLOWS {
            return Err(io::Error::other("too many clients at once"));
        }
        let failed = failed.as_slice();
        let from = *client.address.ip();
        // Where the only endpoint refused, it is asked again: it may be back.
        let endpoint = self
            .backends
            .pick(from, failed)
            .or_else(|| self.backends.pick(from, &[]));
        let endpoint = endpoint.ok_or_else(|| io::Error::other("no endpoint"))?;
        let flow = Arc::new(Flow::open(endpoint)?);
        self.flows().insert(client, flow.clone());
        tokio::spawn(flow::run(self.clone(), client, flow.clone()));
        Ok(flow)
    }

    fn forget(&self, client: Client, flow: &Arc<Flow>) {
        let mut flows = self.flows();
        if flows
            .get(&client)
            .is_some_and(|known| Arc::ptr_eq(known, flow))
        {
            flows.remove(&client);
        }
        flow.end.cancel();
    }

    fn flows(&self) -> MutexGuard<'_, HashMap<Client, Arc<Flow>>> {
        // A map of flows is sound whoever panicked while holding it.
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
