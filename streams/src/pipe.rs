//! The ends of one stream: byte pipes to and from a connection's tasks.
//!
//! Both are bounded in bytes: a pipe holds at most [`DEPTH`] chunks of at most
//! [`CHUNK`] bytes. Dropping a [`Writer`] ends the stream in that direction.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tokio_util::sync::{PollSemaphore, PollSender};

/// The most bytes that travel in one frame.
pub(crate) const CHUNK: usize = 32 * 1024;
/// Chunks a pipe holds before its writer waits.
pub(crate) const DEPTH: usize = 8;

/// Told how many bytes of a stream were read, to give the peer credit for as many.
pub(crate) type OnRead = Box<dyn FnMut(usize) + Send + Sync>;

/// What the peer sends on one stream.
pub struct Reader {
    chunks: mpsc::Receiver<Bytes>,
    current: Bytes,
    on_read: Option<OnRead>,
}

/// What is sent to the peer on one stream.
pub struct Writer {
    chunks: PollSender<Bytes>,
    /// The peer's receive window, where it has one.
    window: Option<PollSemaphore>,
}

/// Both directions of one stream.
pub struct Duplex {
    pub reader: Reader,
    pub writer: Writer,
}

/// The connection's end of a [`Reader`], and the reader.
pub(crate) fn incoming() -> (mpsc::Sender<Bytes>, Reader) {
    let (sender, chunks) = mpsc::channel(DEPTH);
    (
        sender,
        Reader {
            chunks,
            current: Bytes::new(),
            on_read: None,
        },
    )
}

/// The connection's end of a [`Writer`], and the writer.
pub(crate) fn outgoing() -> (mpsc::Receiver<Bytes>, Writer) {
    let (sender, receiver) = mpsc::channel(DEPTH);
    (
        receiver,
        Writer {
            chunks: PollSender::new(sender),
            window: None,
        },
    )
}

impl Reader {
    pub(crate) fn on_read(&mut self, on_read: OnRead) {
        self.on_read = Some(on_read);
    }

    /// The next chunk as it arrived, without a copy; none at the stream's end.
    pub async fn chunk(&mut self) -> Option<Bytes> {
        std::future::poll_fn(|cx| self.poll_fill(cx))
            .await
            .then(|| {
                let chunk = std::mem::take(&mut self.current);
                self.note_read(chunk.len());
                chunk
            })
    }

    /// Ready(false) at the end of the stream, Ready(true) when `current` has bytes.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while self.current.is_empty() {
            match ready!(self.chunks.poll_recv(cx)) {
                Some(chunk) => self.current = chunk,
                None => return Poll::Ready(false),
            }
        }
        Poll::Ready(true)
    }

    fn note_read(&mut self, count: usize) {
        if let Some(on_read) = &mut self.on_read {
            on_read(count);
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 && ready!(self.poll_fill(cx)) {
            let count = buf.remaining().min(self.current.len());
            buf.put_slice(&self.current[..count]);
            self.current.advance(count);
            self.note_read(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl Writer {
    pub(crate) fn limit_to(&mut self, window: PollSemaphore) {
        self.window = Some(window);
    }

    /// Waits until nothing written reaches the peer any more: it reset the stream, or is gone. Without this, one who
    /// has nothing to write would not learn it.
    pub async fn closed(&self) {
        if let Some(sender) = self.chunks.get_ref() {
            sender.closed().await;
        }
    }

    /// How many of `wanted` bytes may go now.
    fn poll_credit(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let Some(window) = &mut self.window else {
            return Poll::Ready(Ok(wanted));
        };
        let count = wanted.min(window.available_permits()).max(1);
        let permits = u32::try_from(count).expect("a chunk is far below 4 GiB");
        match ready!(window.poll_acquire_many(cx, permits)) {
            Some(permit) => permit.forget(),
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.chunks.poll_reserve(cx)).map_err(gone)?;
        let count = ready!(self.poll_credit(cx, buf.len().min(CHUNK)))?;
        self.chunks
            .send_item(Bytes::copy_from_slice(&buf[..count]))
            .map_err(gone)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.chunks.close();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Duplex {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
