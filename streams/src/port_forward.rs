//! Connections to a pod's ports.

mod client;

use std::{collections::HashMap, time::Duration};

pub use client::{Client, Connected, connect};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use crate::{
    Duplex, Error, Protocol, Writer,
    negotiate::Transport,
    spdy::{self, Side},
    websocket::{self, Channels, Framing, Tunnel},
};

/// How long the second of a connection's two streams may take.
const PAIRING: Duration = Duration::from_secs(30);
/// Connections of which one stream is there and one is not.
const MAX_HALVES: usize = 256;
/// Ports of one plain WebSocket: a channel's number is a byte, and each port has two.
const MAX_PORTS: usize = 127;

/// The server's side: what the client forwards, one after the other.
pub struct Forwards {
    source: Source,
}

enum Source {
    WebSocket {
        ready: Vec<Forward>,
        gone: CancellationToken,
        /// None once it is ending.
        connection: Option<websocket::Connection>,
    },
    Spdy {
        connection: spdy::Connection,
        halves: HashMap<String, Half>,
    },
}

/// One forwarded connection.
pub struct Forward {
    pub port: u16,
    /// Copy to and from the pod's port; shut down or dropped, the client sees the end.
    pub data: Duplex,
    pub error: ErrorSink,
}

/// Where a connection that fails tells the client why; dropped, it failed not.
pub struct ErrorSink {
    writer: Writer,
}

impl ErrorSink {
    /// Tells the client, and ends.
    pub async fn fail(mut self, message: &str) {
        // A client that is gone needs no telling.
        let _ = self.writer.write_all(message.as_bytes()).await;
    }
}

/// A connection's first stream, waiting for its second.
struct Half {
    since: Instant,
    is_error: bool,
    stream: spdy::Stream,
}

/// Runs the server's side over an upgraded connection. `ports` are those of the query (`ports=80,81`), which only
/// the plain WebSocket protocol needs.
///
/// # Errors
/// The client asked for no valid port.
pub async fn serve<S>(io: S, protocol: &Protocol, ports: &[u16]) -> Result<Forwards, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let gone = CancellationToken::new();
    let source = match protocol.transport {
        Transport::WebSocket { base64 } => serve_websocket(io, base64, ports, gone).await?,
        Transport::Spdy => spdy_source(spdy::Connection::new(io, Side::Server, gone)),
        Transport::SpdyInWebSocket => {
            let tunnel = Tunnel::new(websocket::socket(io, Role::Server).await);
            spdy_source(spdy::Connection::new(tunnel, Side::Server, gone))
        }
    };
    Ok(Forwards { source })
}

fn spdy_source(connection: spdy::Connection) -> Source {
    Source::Spdy {
        connection,
        halves: HashMap::new(),
    }
}

/// One connection a port; data and error channel both begin with the port's number.
async fn serve_websocket<S>(
    io: S,
    base64: bool,
    ports: &[u16],
    gone: CancellationToken,
) -> Result<Source, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if ports.is_empty() || ports.len() > MAX_PORTS || ports.contains(&0) {
        return Err(Error::Protocol(
            "between 1 and 127 ports have to be asked for, none of them 0",
        ));
    }
    let mut channels = Channels::default();
    let mut ready = Vec::new();
    for (number, &port) in (0_u8..).step_by(2).zip(ports) {
        let mut data = Duplex {
            reader: channels.read(number),
            writer: channels.write(number),
        };
        let mut error = channels.write(number + 1);
        // Two bytes fit a pipe that is empty.
        data.write_all(&port.to_le_bytes()).await?;
        error.write_all(&port.to_le_bytes()).await?;
        ready.push(Forward {
            port,
            data,
            error: ErrorSink { writer: error },
        });
    }
    ready.reverse();
    let framing = Framing {
        base64,
        tells_ends: false,
    };
    let connection =
        websocket::Connection::start(io, Role::Server, framing, channels, gone.clone()).await;
    Ok(Source::WebSocket {
        ready,
        gone,
        connection: Some(connection),
    })
}

impl Forwards {
    /// The next connection; none when the client is gone, or when the last connection is over and no other can
    /// come. Dropping this, or the future of that last call, ends all connections.
    pub async fn next(&mut self) -> Option<Forward> {
        match &mut self.source {
            Source::WebSocket {
                ready,
                gone,
                connection,
            } => {
                if let Some(forward) = ready.pop() {
                    return Some(forward);
                }
                let connection = connection.take()?;
                tokio::select! {
                    () = connection.finish() => {}
                    () = gone.cancelled() => {}
                }
                None
            }
            Source::Spdy { connection, halves } => next_pair(connection, halves).await,
        }
    }
}

async fn next_pair(
    connection: &mut spdy::Connection,
    halves: &mut HashMap<String, Half>,
) -> Option<Forward> {
    loop {
        let oldest = halves.values().map(|half| half.since + PAIRING).min();
        let stream = match oldest {
            None => connection.accept().await?,
            Some(deadline) => {
                let patience = deadline.saturating_duration_since(Instant::now());
                let Ok(accepted) = timeout(patience, connection.accept()).await else {
                    halves.retain(|_, half| half.since.elapsed() < PAIRING);
                    continue;
                };
                accepted?
            }
        };
        if let Some(forward) = pair(stream, halves) {
            return Some(forward);
        }
    }
}

/// Puts a stream to the other of its connection. One that makes no sense is dropped, and so ends.
fn pair(stream: spdy::Stream, halves: &mut HashMap<String, Half>) -> Option<Forward> {
    let header = |wanted: &str| {
        stream
            .headers
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.clone())
    };
    let port: u16 = header("port")?.parse().ok().filter(|port| *port != 0)?;
    let is_error = match header("streamtype")?.as_str() {
        "error" => true,
        "data" => false,
        _ => return None,
    };
    // Clients from before there were request ids open one connection a port.
    let request = header("requestid").unwrap_or_else(|| format!("port {port}"));
    match halves.remove(&request) {
        Some(half) if half.is_error != is_error => {
            let (data, error) = if is_error {
                (half.stream, stream)
            } else {
                (stream, half.stream)
            };
            let data = Duplex {
                reader: data.reader,
                writer: data.writer,
            };
            Some(Forward {
                port,
                data,
                error: ErrorSink {
                    writer: error.writer,
                },
            })
        }
        _ => {
            if halves.len() < MAX_HALVES {
                halves.insert(
                    request,
                    Half {
                        since: Instant::now(),
                        is_error,
                        stream,
                    },
                );
            }
            None
        }
    }
}
