//! Connections to a pod's ports.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Duplex, Error, Protocol};

/// The server's side: what the client forwards, one after the other.
pub struct Forwards {}

/// One forwarded connection.
pub struct Forward {
    pub port: u16,
    /// Copy to and from the pod's port; shut down or dropped, the client sees the end.
    pub data: Duplex,
    pub error: ErrorSink,
}

/// Where a connection that fails tells the client why; dropped, it failed not.
pub struct ErrorSink {}

impl ErrorSink {
    pub async fn fail(self, _message: &str) {
        todo!()
    }
}

impl Forwards {
    /// The next connection; none when the client is gone.
    pub async fn next(&mut self) -> Option<Forward> {
        todo!()
    }
}

/// Runs the server's side over an upgraded connection. `ports` are those of the query (`ports=80,81`), which only
/// the plain WebSocket protocol needs.
///
/// # Errors
/// The client asked for no valid port.
pub async fn serve<S>(_io: S, _protocol: &Protocol, _ports: &[u16]) -> Result<Forwards, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    todo!()
}
