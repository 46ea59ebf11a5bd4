//! Streams of one remote command: `exec` and `attach`.

mod client;
mod status;

use std::time::Duration;

pub use client::{Client, connect};
use serde::{Deserialize, Serialize};
pub use status::Outcome;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    Error, Protocol, Reader, Writer,
    negotiate::Transport,
    spdy::{self, Side},
    websocket::{self, Channels, Framing},
};

/// How long a client may take to open the streams it asked for; Kubernetes' figure.
const CREATION: Duration = Duration::from_secs(30);
/// A resize message.
const MAX_RESIZE: usize = 4096;

/// Channels of the WebSocket protocols.
mod channel {
    pub const STDIN: u8 = 0;
    pub const STDOUT: u8 = 1;
    pub const STDERR: u8 = 2;
    pub const ERROR: u8 = 3;
    pub const RESIZE: u8 = 4;
}

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

/// The server's side of one command's streams.
pub struct Session {
    /// Ends when the client closes it or goes away.
    pub stdin: Option<Reader>,
    pub stdout: Option<Writer>,
    /// None with a tty: all output is stdout then.
    pub stderr: Option<Writer>,
    /// Sizes as the client tells them; nothing comes without a tty.
    pub resize: mpsc::Receiver<Size>,
    pub status: StatusSink,
    /// Cancelled when the client is gone: an attach ends, an exec may be killed.
    pub gone: CancellationToken,
}

/// Tells the client the outcome and closes; dropped, the connection closes without one.
pub struct StatusSink {
    error: Writer,
    connection: Connection,
    as_json: bool,
    /// Our halves of the client's own streams: kubectl takes their end for the command's.
    unused: Vec<Writer>,
    _resizing: Option<AbortOnDropHandle<()>>,
}

enum Connection {
    WebSocket(websocket::Connection),
    Spdy(spdy::Connection),
}

impl Wanted {
    fn stderr_apart(self) -> bool {
        self.stderr && !self.tty
    }
}

impl Session {
    /// Tells the outcome of a command whose streams nobody took, one that never ran, and closes. What is left of the
    /// streams goes first: [`StatusSink::finish`] waits for the end of each.
    pub async fn finish(self, outcome: Outcome) {
        let Self {
            stdin,
            stdout,
            stderr,
            status,
            ..
        } = self;
        drop((stdin, stdout, stderr));
        status.finish(outcome).await;
    }
}

impl StatusSink {
    /// Sends the outcome after all output; drop (or shut down) stdout and stderr first. Returns when all is written.
    pub async fn finish(self, outcome: Outcome) {
        let Self {
            mut error,
            connection,
            as_json,
            unused,
            _resizing,
        } = self;
        let text = if as_json {
            outcome.to_status()
        } else {
            outcome.to_text()
        };
        // A client that is gone wants no outcome.
        let _ = error.write_all(text.as_bytes()).await;
        drop((error, unused));
        match connection {
            Connection::WebSocket(connection) => connection.finish().await,
            Connection::Spdy(connection) => connection.finish().await,
        }
    }
}

/// Runs the server's side over an upgraded connection (`TokioIo::new(hyper::upgrade::on(req).await?)`).
///
/// # Errors
/// The client went away or did not open in time the streams it asked for.
pub async fn serve<S>(io: S, protocol: &Protocol, wanted: Wanted) -> Result<Session, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match protocol.transport {
        Transport::WebSocket { base64 } => Ok(serve_websocket(io, protocol, base64, wanted).await),
        Transport::Spdy => serve_spdy(io, protocol, wanted).await,
        Transport::SpdyInWebSocket => Err(Error::Protocol("a command's streams are not tunnelled")),
    }
}

async fn serve_websocket<S>(io: S, protocol: &Protocol, base64: bool, wanted: Wanted) -> Session
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let gone = CancellationToken::new();
    let mut channels = Channels::default();
    let stdin = wanted.stdin.then(|| channels.read(channel::STDIN));
    let stdout = wanted.stdout.then(|| channels.write(channel::STDOUT));
    let stderr = wanted
        .stderr_apart()
        .then(|| channels.write(channel::STDERR));
    let error = channels.write(channel::ERROR);
    let sizes = wanted.tty.then(|| channels.read(channel::RESIZE));
    channels.greet(match (&stdout, &stderr) {
        (Some(_), _) => channel::STDOUT,
        (None, Some(_)) => channel::STDERR,
        (None, None) => channel::ERROR,
    });
    let framing = Framing {
        base64,
        tells_ends: protocol.tells_ends(),
    };
    let connection =
        websocket::Connection::start(io, Role::Server, framing, channels, gone.clone()).await;
    let connection = Connection::WebSocket(connection);
    let (resize, resizing) = resizes(sizes);
    let status = StatusSink {
        error,
        connection,
        as_json: protocol.ends_with_status(),
        unused: Vec::new(),
        _resizing: resizing,
    };
    Session {
        stdin,
        stdout,
        stderr,
        resize,
        status,
        gone,
    }
}

async fn serve_spdy<S>(io: S, protocol: &Protocol, wanted: Wanted) -> Result<Session, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let gone = CancellationToken::new();
    let mut connection = spdy::Connection::new(io, Side::Server, gone.clone());
    let has_resize = wanted.tty && !matches!(protocol.name, "channel.k8s.io" | "v2.channel.k8s.io");
    let names = [
        ("error", true),
        ("stdin", wanted.stdin),
        ("stdout", wanted.stdout),
        ("stderr", wanted.stderr_apart()),
        ("resize", has_resize),
    ];
    let names = names
        .into_iter()
        .filter_map(|(name, is_wanted)| is_wanted.then_some(name))
        .collect();
    let streams = timeout(CREATION, collect(&mut connection, names)).await;
    let mut streams = streams.map_err(|_| Error::StreamsNotCreated)??;
    let mut take = |name: &str| {
        let at = streams.iter().position(|(known, _)| *known == name)?;
        Some(streams.swap_remove(at).1)
    };
    let error = take("error").ok_or(Error::Gone)?.writer;
    let mut unused = Vec::new();
    let mut keep_reader = |stream: spdy::Stream| {
        unused.push(stream.writer);
        stream.reader
    };
    let stdin = take("stdin").map(&mut keep_reader);
    let stdout = take("stdout").map(|stream| stream.writer);
    let stderr = take("stderr").map(|stream| stream.writer);
    let (resize, resizing) = resizes(take("resize").map(keep_reader));
    let connection = Connection::Spdy(connection);
    let status = StatusSink {
        error,
        connection,
        as_json: protocol.ends_with_status(),
        unused,
        _resizing: resizing,
    };
    Ok(Session {
        stdin,
        stdout,
        stderr,
        resize,
        status,
        gone,
    })
}

/// Accepts streams until all of `names` are there, in whatever order.
async fn collect(
    connection: &mut spdy::Connection,
    mut names: Vec<&'static str>,
) -> Result<Vec<(&'static str, spdy::Stream)>, Error> {
    let mut streams = Vec::new();
    while !names.is_empty() {
        let stream = connection.accept().await.ok_or(Error::Gone)?;
        let kind = stream
            .headers
            .iter()
            .find(|(name, _)| name == "streamtype")
            .map(|(_, value)| value.as_str());
        match names.iter().position(|name| Some(*name) == kind) {
            Some(at) => streams.push((names.swap_remove(at), stream)),
            None => tracing::debug!(kind, "passing over a stream that nobody asked for"),
        }
    }
    Ok(streams)
}

/// Sizes, parsed; the task ends with its stream.
fn resizes(source: Option<Reader>) -> (mpsc::Receiver<Size>, Option<AbortOnDropHandle<()>>) {
    let (sender, sizes) = mpsc::channel(8);
    let task =
        source.map(|source| AbortOnDropHandle::new(tokio::spawn(parse_sizes(source, sender))));
    (sizes, task)
}

/// JSON objects one after the other, however they are cut into chunks.
async fn parse_sizes(mut source: Reader, sizes: mpsc::Sender<Size>) {
    let mut buffer: Vec<u8> = Vec::new();
    while let Some(chunk) = source.chunk().await {
        buffer.extend(chunk);
        let mut parsed = serde_json::Deserializer::from_slice(&buffer).into_iter::<Size>();
        let mut found = Vec::new();
        let mut is_broken = false;
        for size in &mut parsed {
            match size {
                Ok(size) => found.push(size),
                Err(error) => is_broken = !error.is_eof(),
            }
        }
        let used = parsed.byte_offset();
        buffer.drain(..used);
        if is_broken || buffer.len() > MAX_RESIZE {
            buffer.clear();
        }
        for size in found {
            if sizes.send(size).await.is_err() {
                return;
            }
        }
    }
}
