//! One client's exchange with one endpoint.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddrV4;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Client, Server, packet};
use crate::cluster::Protocol;
use crate::metrics::{Connections, Open};

/// Question and answer, and done; as long as the kernel's conntrack waits.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// After more than one answer it is a stream.
const STREAM_TIMEOUT: Duration = Duration::from_secs(120);

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; packet::LARGEST].into_boxed_slice());
}

pub struct Flow {
    pub endpoint: SocketAddrV4,
    /// Ends the flow from outside.
    pub end: CancellationToken,
    socket: UdpSocket,
    opened: Instant,
    /// Milliseconds after `opened` of the last packet either way.
    last: AtomicU64,
    answers: AtomicU32,
    _counted: Open,
}

impl Flow {
    pub fn open(endpoint: SocketAddrV4) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::from(endpoint))?;
        Ok(Self {
            endpoint,
            end: CancellationToken::new(),
            socket: UdpSocket::from_std(socket.into())?,
            opened: Instant::now(),
            last: AtomicU64::new(0),
            answers: AtomicU32::new(0),
            _counted: Connections::of(Protocol::Udp).begin(),
        })
    }

    /// Sends to the endpoint; a full queue loses the packet, as UDP may.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.touch();
        // Not by tokio: it would wait for news of a socket it has just met.
        match SockRef::from(&self.socket).send(packet) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other.map(|_| ()),
        }
    }

    fn touch(&self) {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn deadline(&self) -> Instant {
        let is_stream = self.answers.load(Ordering::Relaxed) > 1;
        let patience = if is_stream {
            STREAM_TIMEOUT
        } else {
            QUERY_TIMEOUT
        };
        self.opened + Duration::from_millis(self.last.load(Ordering::Relaxed)) + patience
    }
}

/// Carries answers back until the flow is over.
pub async fn run(server: Arc<Server>, client: Client, flow: Arc<Flow>) {
    tokio::select! {
        () = carry_answers(&server, client, &flow) => {}
        () = silence(&flow) => {}
        () = endpoint_gone(&server, &flow) => {}
        () = flow.end.cancelled() => {}
        () = server.close.cancelled() => {}
    }
    server.forget(client, &flow);
}

/// Ends with the first error: the endpoint refused.
async fn carry_answers(server: &Server, client: Client, flow: &Flow) {
    while flow.socket.readable().await.is_ok() {
        let carried = SCRATCH.with_borrow_mut(|scratch| {
            let length = flow.socket.try_recv(scratch)?;
            flow.touch();
            flow.answers.fetch_add(1, Ordering::Relaxed);
            packet::answer(&server.socket, client, &scratch[..length])
        });
        match carried {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                tracing::debug!(client = %client.address, %error, "answer of a Service dropped");
            }
            _ => {}
        }
    }
}

async fn silence(flow: &Flow) {
    let mut sleep = pin!(tokio::time::sleep_until(flow.deadline()));
    loop {
        sleep.as_mut().await;
        let deadline = flow.deadline();
        if deadline <= Instant::now() {
            return;
        }
        sleep.as_mut().reset(deadline);
    }
}

async fn endpoint_gone(server: &Server, flow: &Flow) {
    let mut changes = server.backends.changes();
    while server.backends.is_current(flow.endpoint) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}
