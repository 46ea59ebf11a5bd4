//! The sockets of DNS, UDP and TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::reply::Transport;
use super::{Resolver, Verdict};
use crate::{Error, Result, metrics};

const LARGEST_QUESTION: usize = 4096;
const BACKLOG: i32 = 1024;

/// Connections at once, and how long one may be silent.
const MAX_CONNECTIONS: usize = 256;
const SILENCE: Duration = Duration::from_secs(10);

/// Questions by UDP that wait for an answer from outside; more are dropped.
const MAX_WAITING: usize = 2048;

pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let failed = |protocol| {
            move |source| Error::Listen {
                protocol,
                address,
                source,
            }
        };
        let udp = bound(address, Type::DGRAM).and_then(|socket| UdpSocket::from_std(socket.into()));
        let tcp = bound(address, Type::STREAM).and_then(|socket| {
            socket.listen(BACKLOG)?;
            TcpListener::from_std(socket.into())
        });
        Ok(Self {
            udp: udp.map_err(failed("udp"))?,
            tcp: tcp.map_err(failed("tcp"))?,
        })
    }

    /// Serves until dropped; what it started ends with it.
    pub async fn serve(self, resolver: Arc<Resolver>) {
        tokio::join!(
            serve_udp(Arc::new(self.udp), resolver.clone()),
            serve_tcp(self.tcp, resolver),
        );
    }
}

fn bound(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(kind == Type::STREAM)?;
    // A next skiff may start before this one has ended.
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

async fn serve_udp(socket: Arc<UdpSocket>, resolver: Arc<Resolver>) {
    let mut waiting = JoinSet::new();
    let mut buffer = [0; LARGEST_QUESTION];
    loop {
        while waiting.try_join_next().is_some() {}
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // An earlier answer bounced: its asker is gone.
                tracing::trace!(%error, "receive a question");
                continue;
            }
        };
        let packet = &buffer[..length];
        match resolver.at_once(packet, Transport::Udp) {
            Verdict::Ignore => {}
            Verdict::Answer(answer) => send(&socket, &answer, from).await,
            verdict if waiting.len() < MAX_WAITING => {
                let (socket, resolver) = (socket.clone(), resolver.clone());
                let packet = packet.to_vec();
                waiting.spawn(async move {
                    let answer = resolver.later(&packet, Transport::Udp, verdict).await;
                    if let Some(answer) = answer {
                        send(&socket, &answer, from).await;
                    }
                });
            }
            _ => tracing::debug!("too many questions wait for the node's resolver"),
        }
    }
}

async fn send(socket: &UdpSocket, answer: &[u8], to: SocketAddr) {
    metrics::answered(answer);
    if let Err(error) = socket.send_to(answer, to).await {
        tracing::debug!(%to, %error, "DNS answer not sent");
    }
}

async fn serve_tcp(listener: TcpListener, resolver: Arc<Resolver>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let resolver = resolver.clone();
                connections.spawn(async move {
                    let _place = place;
                    if let Err(error) = converse(stream, &resolver).await {
                        tracing::trace!(%error, "DNS connection");
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accept a DNS connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Question after question until the asker ends or falls silent.
async fn converse(mut stream: TcpStream, resolver: &Resolver) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let question = tokio::time::timeout(SILENCE, read_question(&mut stream)).await;
        let Some(packet) = question.map_err(|_| io::ErrorKind::TimedOut)?? else {
            return Ok(());
        };
        let verdict = resolver.at_once(&packet, Transport::Tcp);
        let Some(answer) = resolver.later(&packet, Transport::Tcp, verdict).await else {
            return Ok(());
        };
        metrics::answered(&answer);
        let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        let framed = [&length.to_be_bytes(), &answer[..]].concat();
        let written = tokio::time::timeout(SILENCE, stream.write_all(&framed)).await;
        written.map_err(|_| io::ErrorKind::TimedOut)??;
    }
}

/// `None` at the end of the stream.
async fn read_question(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => usize::from(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > LARGEST_QUESTION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok(Some(packet))
}
