//! The client's side: many connections through one upgraded connection.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use crate::{
    Duplex, Error, Protocol, Reader,
    negotiate::Transport,
    spdy::{self, Side},
    websocket::{self, Tunnel},
};

const MAX_ERROR: u64 = 64 * 1024;

/// Opens connections to the pod; dropped, all of them end.
pub struct Client {
    connection: spdy::Connection,
    requests: AtomicU32,
}

/// A connection to one of the pod's ports.
pub struct Connected {
    pub data: Duplex,
    error: Reader,
}

impl Client {
    /// Opens a connection to the pod's `port`; whether anybody listens there, [`Connected::error`] tells.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn open(&self, port: u16) -> Result<Connected, Error> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed).to_string();
        let headers = |kind: &str| {
            let pairs = [
                ("streamtype", kind),
                ("port", &port.to_string()),
                ("requestid", &request),
            ];
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec()
        };
        // The error stream has only the other direction: its writer is dropped here.
        let error = self.connection.open(headers("error")).await?.reader;
        let data = self.connection.open(headers("data")).await?;
        Ok(Connected {
            data: Duplex {
                reader: data.reader,
                writer: data.writer,
            },
            error,
        })
    }
}

impl Connected {
    /// Why the connection failed, once it ends; none when it did not.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn error(&mut self) -> Result<Option<String>, Error> {
        let mut text = Vec::new();
        (&mut self.error)
            .take(MAX_ERROR)
            .read_to_end(&mut text)
            .await?;
        Ok((!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned()))
    }
}

/// Runs the client's side over an upgraded connection, by SPDY or tunnelled SPDY.
///
/// # Errors
/// The protocol is the plain WebSocket one, which forwards one connection a port.
pub async fn connect<S>(io: S, protocol: &Protocol) -> Result<Client, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let gone = CancellationToken::new();
    let connection = match protocol.transport {
        Transport::Spdy => spdy::Connection::new(io, Side::Client, gone),
        Transport::SpdyInWebSocket => {
            let tunnel = Tunnel::new(websocket::socket(io, Role::Client).await);
            spdy::Connection::new(tunnel, Side::Client, gone)
        }
        Transport::WebSocket { .. } => {
            return Err(Error::Protocol(
                "the plain WebSocket protocol opens no connections",
            ));
        }
    };
    Ok(Client {
        connection,
        requests: AtomicU32::new(0),
    })
}
