//! TCP: accept, connect to an endpoint, forward.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::backends::Backends;
use super::relay;
use crate::cluster::Protocol;
use crate::metrics::Connections;

/// How many endpoints a connection is tried with, and how long each: together
/// below the time after which most clients give up.
const MAX_ATTEMPTS: usize = 4;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long accepting rests when there is no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// A client that vanished without a word is noticed after this long.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(300);

/// Accepts until `close`, and then closes the socket; connections go on.
pub async fn accept(
    socket: std::net::TcpListener,
    backends: Arc<Backends>,
    close: CancellationToken,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "cannot watch a listening socket");
            return;
        }
    };
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((client, from)) => {
                    tokio::spawn(forward(client, ipv4(from), backends.clone()));
                }
                Err(error) if is_exhausted(&error) => {
                    tracing::warn!(%error, "cannot accept a connection; raise the limit of open files");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
                // The client was gone before it was accepted.
                Err(error) => tracing::debug!(%error, "accept"),
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = close.cancelled() => {}
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    use nix::errno::Errno::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    let code = error.raw_os_error().unwrap_or_default();
    [EMFILE, ENFILE, ENOBUFS, ENOMEM]
        .iter()
        .any(|errno| *errno as i32 == code)
}

fn ipv4(address: SocketAddr) -> Ipv4Addr {
    match address.ip() {
        IpAddr::V4(ip) => ip,
        // Not from a socket bound to IPv4.
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

async fn forward(mut client: TcpStream, from: Ipv4Addr, backends: Arc<Backends>) {
    let connections = Connections::of(Protocol::Tcp);
    let Some(mut server) = connect(from, &backends).await else {
        connections.unreached();
        reset(&client);
        return;
    };
    let _open = connections.begin();
    if let Err(error) = relay::both_ways(&mut client, &mut server).await {
        tracing::trace!(%error, "forwarding ended early");
        // Who is left must not take the end of the stream for its end.
        reset(&client);
        reset(&server);
    }
}

/// Connects to the client's endpoint, or, if that fails, to another.
async fn connect(from: Ipv4Addr, backends: &Backends) -> Option<TcpStream> {
    let mut failed = Vec::new();
    while failed.len() < MAX_ATTEMPTS {
        let endpoint = backends.pick(from, &failed)?;
        let attempt = TcpStream::connect(SocketAddr::V4(endpoint));
        match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
            Ok(Ok(server)) => {
                // The time until it asks is the system's: one call fewer.
                if SockRef::from(&server).set_keepalive(true).is_ok() {
                    return Some(server);
                }
            }
            Ok(Err(error)) => unreachable_endpoint(endpoint, &error),
            Err(_) => unreachable_endpoint(endpoint, &io::ErrorKind::TimedOut.into()),
        }
        failed.push(endpoint);
    }
    None
}

fn unreachable_endpoint(endpoint: SocketAddrV4, error: &io::Error) {
    tracing::debug!(%endpoint, %error, "endpoint cannot be reached; trying another");
}

/// What accepted connections inherit: no waiting for more to send, and notice
/// when the client's machine is gone.
pub fn prepare_listener(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_IDLE))
}

/// Makes the coming close a reset.
fn reset(stream: &TcpStream) {
    // On a connection that is already gone this fails, and matters no more.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
