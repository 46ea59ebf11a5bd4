//! The client's side of a command's streams.

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Connection, Outcome, Size, Wanted, channel};
use crate::{
    Error, Protocol, Reader, Writer,
    negotiate::Transport,
    spdy::{self, Side},
    websocket::{self, Channels, Framing},
};

/// An outcome.
const MAX_STATUS: u64 = 1 << 20;

/// The client's side of one command's streams; dropped, the connection closes.
pub struct Client {
    /// Dropped or shut down, the command sees the end of its input (by WebSocket only with `v5`).
    pub stdin: Option<Writer>,
    pub stdout: Option<Reader>,
    pub stderr: Option<Reader>,
    pub resize: mpsc::Sender<Size>,
    error: Reader,
    is_json: bool,
    _connection: Connection,
    _resizing: Option<AbortOnDropHandle<()>>,
}

impl Client {
    /// The outcome, once the server tells it; read stdout and stderr to their ends as well.
    ///
    /// # Errors
    /// The connection ended without one.
    pub async fn outcome(&mut self) -> Result<Outcome, Error> {
        let mut text = Vec::new();
        (&mut self.error)
            .take(MAX_STATUS)
            .read_to_end(&mut text)
            .await?;
        match (self.is_json, text.is_empty()) {
            (true, true) => Err(Error::Gone),
            (true, false) => Ok(Outcome::from_status(&text)),
            (false, _) => Ok(Outcome::from_text(&text)),
        }
    }
}

/// Runs the client's side over an upgraded connection.
///
/// # Errors
/// The server went away.
pub async fn connect<S>(io: S, protocol: &Protocol, wanted: Wanted) -> Result<Client, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match protocol.transport {
        Transport::WebSocket { base64 } => {
            Ok(connect_websocket(io, protocol, base64, wanted).await)
        }
        Transport::Spdy => connect_spdy(io, protocol, wanted).await,
        Transport::SpdyInWebSocket => Err(Error::Protocol("a command's streams are not tunnelled")),
    }
}

async fn connect_websocket<S>(io: S, protocol: &Protocol, base64: bool, wanted: Wanted) -> Client
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut channels = Channels::default();
    let stdin = wanted.stdin.then(|| channels.write(channel::STDIN));
    let stdout = wanted.stdout.then(|| channels.read(channel::STDOUT));
    let stderr = wanted
        .stderr_apart()
        .then(|| channels.read(channel::STDERR));
    let error = channels.read(channel::ERROR);
    let sizes = wanted.tty.then(|| channels.write(channel::RESIZE));
    let framing = Framing {
        base64,
        tells_ends: protocol.tells_ends(),
    };
    let gone = CancellationToken::new();
    let connection = websocket::Connection::start(io, Role::Client, framing, channels, gone).await;
    let (resize, resizing) = resizing(sizes);
    Client {
        stdin,
        stdout,
        stderr,
        resize,
        error,
        is_json: protocol.ends_with_status(),
        _connection: Connection::WebSocket(connection),
        _resizing: resizing,
    }
}

async fn connect_spdy<S>(io: S, protocol: &Protocol, wanted: Wanted) -> Result<Client, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = spdy::Connection::new(io, Side::Client, CancellationToken::new());
    let open = async |kind: &str, is_wanted: bool| {
        if !is_wanted {
            return Ok(None);
        }
        let headers = vec![("streamtype".to_owned(), kind.to_owned())];
        connection.open(headers).await.map(Some)
    };
    let error = open("error", true).await?.ok_or(Error::Gone)?;
    let stdin = open("stdin", wanted.stdin)
        .await?
        .map(|stream| stream.writer);
    let stdout = open("stdout", wanted.stdout)
        .await?
        .map(|stream| stream.reader);
    let stderr = open("stderr", wanted.stderr_apart())
        .await?
        .map(|stream| stream.reader);
    let sizes = open("resize", wanted.tty)
        .await?
        .map(|stream| stream.writer);
    let (resize, resizing) = resizing(sizes);
    Ok(Client {
        stdin,
        stdout,
        stderr,
        resize,
        error: error.reader,
        is_json: protocol.ends_with_status(),
        _connection: Connection::Spdy(connection),
        _resizing: resizing,
    })
}

fn resizing(target: Option<Writer>) -> (mpsc::Sender<Size>, Option<AbortOnDropHandle<()>>) {
    let (sender, mut sizes) = mpsc::channel::<Size>(8);
    let task = target.map(|mut target| {
        AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(size) = sizes.recv().await {
                let json = serde_json::to_vec(&size).expect("two numbers are JSON");
                if target.write_all(&json).await.is_err() {
                    return;
                }
            }
        }))
    });
    (sender, task)
}
