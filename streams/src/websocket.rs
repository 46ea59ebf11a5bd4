//! Channels on a WebSocket: each message is a chunk, its first byte the channel's number.

mod tunnel;

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{
    SinkExt, StreamExt,
    stream::{self, BoxStream, SelectAll, SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
pub(crate) use tunnel::Tunnel;

use crate::pipe::{self, CHUNK, Reader, Writer};

/// The largest message taken from a peer; clients send 32 KiB at a time.
const MAX_MESSAGE: usize = 2 << 20;
/// What may wait for a peer that does not read: one message of ours, and pongs for as long as it sends pings.
const MAX_UNSENT: usize = 1 << 20;
/// `v5`: the channel named by the next byte is closed.
const CLOSE: u8 = 255;
const LINGER: Duration = Duration::from_secs(2);

/// How messages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    /// Text messages: a digit, then base64.
    pub base64: bool,
    /// The end of the client's channel 0, its input, is told (`v5`).
    pub tells_ends: bool,
}

/// One connection's tasks; dropped, it closes at once.
pub(crate) struct Connection {
    finish: mpsc::Sender<oneshot::Sender<()>>,
    reading: AbortOnDropHandle<()>,
    _writing: AbortOnDropHandle<()>,
}

/// The channels a connection is to have, by number.
#[derive(Default)]
pub(crate) struct Channels {
    incoming: HashMap<u8, mpsc::Sender<Bytes>>,
    outgoing: Vec<(u8, mpsc::Receiver<Bytes>)>,
    greeting: Option<u8>,
}

impl Channels {
    pub fn read(&mut self, number: u8) -> Reader {
        let (sender, reader) = pipe::incoming();
        self.incoming.insert(number, sender);
        reader
    }

    pub fn write(&mut self, number: u8) -> Writer {
        let (receiver, writer) = pipe::outgoing();
        self.outgoing.push((number, receiver));
        writer
    }

    /// An empty message on this channel comes first, by which clients know that the server is there.
    pub fn greet(&mut self, number: u8) {
        self.greeting = Some(number);
    }
}

pub(crate) async fn socket<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    role: Role,
) -> WebSocketStream<S> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .max_write_buffer_size(MAX_UNSENT);
    WebSocketStream::from_raw_socket(io, role, Some(config)).await
}

impl Connection {
    pub async fn start<S>(
        io: S,
        role: Role,
        framing: Framing,
        channels: Channels,
        gone: CancellationToken,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sink, source) = socket(io, role).await.split();
        let (finish, asked) = mpsc::channel(1);
        let Channels {
            incoming,
            outgoing,
            greeting,
        } = channels;
        let reading = Reading {
            source,
            framing,
            channels: incoming,
        };
        let mut writing = Writing {
            sink,
            framing,
            channels: SelectAll::new(),
        };
        writing.channels.extend(outgoing.into_iter().map(pieces));
        let lost = gone.clone();
        let reading = AbortOnDropHandle::new(tokio::spawn(async move {
            reading.run().await;
            gone.cancel();
        }));
        let writing = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = writing.run(greeting, asked).await {
                tracing::debug!(%error, "writing a WebSocket");
                // The reading may go on: a peer can be silent and unreachable.
                lost.cancel();
            }
        }));
        Self {
            finish,
            reading,
            _writing: writing,
        }
    }

    /// Ends the connection after all that was written to channels whose writers are dropped or shut down.
    pub async fn finish(mut self) {
        let (done, told) = oneshot::channel();
        if self.finish.send(done).await.is_ok() && told.await.is_ok() {
            let _ = tokio::time::timeout(LINGER, &mut self.reading).await;
        }
    }
}

/// A channel's chunk, or its end.
type Piece = (u8, Option<Bytes>);

fn pieces((number, mut chunks): (u8, mpsc::Receiver<Bytes>)) -> BoxStream<'static, Piece> {
    let chunks = stream::poll_fn(move |cx| chunks.poll_recv(cx));
    chunks
        .map(Some)
        .chain(stream::once(async { None }))
        .map(move |chunk| (number, chunk))
        .boxed()
}

struct Reading<S> {
    source: SplitStream<WebSocketStream<S>>,
    framing: Framing,
    channels: HashMap<u8, mpsc::Sender<Bytes>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reading<S> {
    async fn run(mut self) {
        while let Some(Ok(message)) = self.source.next().await {
            let chunk = match message {
                Message::Binary(bytes) if !self.framing.base64 => {
                    bytes.split_first().map(|(&n, _)| (n, bytes.slice(1..)))
                }
                Message::Text(text) if self.framing.base64 => decode(text.as_bytes()),
                // kubectl's test clients send text on binary channels; the bytes are the same.
                Message::Text(text) => text
                    .as_bytes()
                    .split_first()
                    .map(|(&n, rest)| (n, Bytes::copy_from_slice(rest))),
                Message::Close(_) => return,
                _ => None,
            };
            if let Some((number, bytes)) = chunk {
                self.deliver(number, bytes).await;
            }
        }
    }

    async fn deliver(&mut self, number: u8, mut bytes: Bytes) {
        if number == CLOSE && self.framing.tells_ends {
            bytes
                .iter()
                .for_each(|closed| drop(self.channels.remove(closed)));
            return;
        }
        let Some(sender) = self.channels.get(&number) else {
            return;
        };
        // A pipe is bounded in chunks; a message may be as big as many of them.
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK));
            if sender.send(chunk).await.is_err() {
                // Nobody reads this channel any more.
                self.channels.remove(&number);
                return;
            }
        }
    }
}

struct Writing<S> {
    sink: SplitSink<WebSocketStream<S>, Message>,
    framing: Framing,
    channels: SelectAll<BoxStream<'static, Piece>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Writing<S> {
    async fn run(
        &mut self,
        greeting: Option<u8>,
        mut finish: mpsc::Receiver<oneshot::Sender<()>>,
    ) -> Result<(), tungstenite::Error> {
        if let Some(number) = greeting {
            self.send(number, &[]).await?;
        }
        let mut done = None;
        loop {
            tokio::select! {
                piece = self.channels.next(), if !self.channels.is_empty() => match piece {
                    Some((number, Some(bytes))) => self.send(number, &bytes).await?,
                    Some((0, None)) if self.framing.tells_ends => self.send(CLOSE, &[0]).await?,
                    Some((_, None)) | None => {}
                },
                asked = finish.recv(), if done.is_none() => match asked {
                    Some(sender) => done = Some(sender),
                    None => return Ok(()),
                },
            }
            if self.channels.is_empty()
                && let Some(done) = done.take()
            {
                // Clients take a close without the code for "normal" as a failure.
                self.put(Message::Close(Some(normal_close()))).await?;
                self.sink.close().await?;
                let _ = done.send(());
                return Ok(());
            }
        }
    }

    async fn send(&mut self, number: u8, bytes: &[u8]) -> Result<(), tungstenite::Error> {
        let message = if self.framing.base64 {
            Message::text(format!(
                "{}{}",
                char::from(b'0' + number % 10),
                STANDARD.encode(bytes)
            ))
        } else {
            let mut content = BytesMut::with_capacity(bytes.len() + 1);
            content.put_u8(number);
            content.put_slice(bytes);
            Message::binary(content.freeze())
        };
        self.put(message).await
    }

    /// Sends after all that waits: pongs may have filled the buffer, and what does not fit fails.
    async fn put(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        self.sink.flush().await?;
        self.sink.send(message).await
    }
}

pub(crate) fn normal_close() -> CloseFrame {
    CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    }
}

fn decode(text: &[u8]) -> Option<(u8, Bytes)> {
    let (&digit, rest) = text.split_first()?;
    let number = digit.checked_sub(b'0').filter(|number| *number < 10)?;
    Some((number, STANDARD.decode(rest).ok()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_messages_that_make_no_sense_are_passed_over() {
        assert_eq!(decode(b"0aGk="), Some((0, Bytes::from_static(b"hi"))));
        for text in [&b""[..], b"x", b"0!!", b"/aGk="] {
            assert_eq!(decode(text), None);
        }
    }
}
