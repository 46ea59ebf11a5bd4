//! Streams of one remote command: `exec` and `attach`.

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{Error, Protocol, Reader, Writer};

/// The streams a client asks for in its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    pub width: u16,
    pub height: u16,
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Exited(i32),
    /// It could not be run; the text is for the user.
    Failed(String),
}

/// The server's side of one command's streams.
pub struct Session {
    /// Ends when the client closes it or goes away.
    pub stdin: Option<Reader>,
    pub stdout: Option<Writer>,
    /// None with a tty: all output is stdout then.
    pub stderr: Option<Writer>,
    /// Newest sizes; nothing comes without a tty.
    pub resize: mpsc::Receiver<Size>,
    pub status: StatusSink,
    /// Cancelled when the client is gone: an attach ends, an exec may be killed.
    pub gone: CancellationToken,
}

/// Tells the client the outcome and closes; dropped, the connection closes without one.
pub struct StatusSink {}

impl StatusSink {
    /// Sends the outcome after all output; drop (or shut down) stdout and stderr first. Returns when all is written.
    pub async fn finish(self, _outcome: Outcome) {
        todo!()
    }
}

/// Runs the server's side over an upgraded connection (`TokioIo::new(hyper::upgrade::on(req).await?)`).
///
/// # Errors
/// The client went away or did not open in time the streams it asked for.
pub async fn serve<S>(_io: S, _protocol: &Protocol, _wanted: Wanted) -> Result<Session, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    todo!()
}

/// The client's side of one command's streams.
pub struct Client {
    pub stdin: Option<Writer>,
    pub stdout: Option<Reader>,
    pub stderr: Option<Reader>,
    pub resize: mpsc::Sender<Size>,
}

impl Client {
    /// The outcome, once the server tells it; read stdout and stderr to their ends as well.
    ///
    /// # Errors
    /// The connection ended without one.
    pub async fn outcome(&mut self) -> Result<Outcome, Error> {
        todo!()
    }
}

/// Runs the client's side over an upgraded connection.
///
/// # Errors
/// The server went away.
pub async fn connect<S>(_io: S, _protocol: &Protocol, _wanted: Wanted) -> Result<Client, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    todo!()
}
