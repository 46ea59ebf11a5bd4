//! The task that writes a connection: what is asked of it, and what the streams' writers send.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt, BufWriter},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use super::{Control, Outgoing, Shared, frame, header_block::Encoder};
use crate::pipe::CHUNK;

/// Pieces between two looks at what is asked: pings are answered while streams are busy.
const ROUND: usize = 16;

/// A stream's chunk, or its end.
type Piece = (u32, Option<Bytes>);

struct Writing<W> {
    io: BufWriter<W>,
    shared: Arc<Shared>,
    encoder: Encoder,
    streams: SelectAll<BoxStream<'static, Piece>>,
    finish: Option<oneshot::Sender<()>>,
    buffer: BytesMut,
}

pub async fn run<W: AsyncWrite + Unpin>(
    io: W,
    shared: Arc<Shared>,
    controls: mpsc::Receiver<Control>,
) {
    let mut writing = Writing {
        io: BufWriter::with_capacity(2 * CHUNK, io),
        encoder: Encoder::new(),
        streams: SelectAll::new(),
        finish: None,
        buffer: BytesMut::new(),
        shared: Arc::clone(&shared),
    };
    if let Err(error) = writing.run(controls).await {
        tracing::debug!(%error, "writing a SPDY connection");
        shared.close();
    }
}

impl<W: AsyncWrite + Unpin> Writing<W> {
    async fn run(&mut self, mut controls: mpsc::Receiver<Control>) -> io::Result<()> {
        loop {
            tokio::select! {
                biased;
                control = controls.recv() => match control {
                    Some(control) => self.control(control).await?,
                    None => return Ok(()),
                },
                piece = self.streams.next(), if !self.streams.is_empty() => {
                    // None: the last stream has ended.
                    if let Some(piece) = piece {
                        self.piece(piece).await?;
                    }
                }
            }
            // What is ready goes out in one write.
            for _ in 0..ROUND {
                let Some(Some(piece)) = self.streams.next().now_or_never() else {
                    break;
                };
                self.piece(piece).await?;
            }
            if self.finish.is_some() && self.streams.is_empty() {
                return self.end().await;
            }
            self.io.flush().await?;
        }
    }

    async fn control(&mut self, control: Control) -> io::Result<()> {
        let out = &mut self.buffer;
        out.clear();
        match control {
            Control::Open {
                id,
                headers,
                outgoing,
            } => {
                frame::open(out, &mut self.encoder, id, &headers);
                self.streams.push(pieces(id, outgoing));
            }
            Control::Reply { id, outgoing } => {
                frame::reply(out, &mut self.encoder, id);
                self.streams.push(pieces(id, outgoing));
            }
            Control::Reset { id } => frame::reset(out, id),
            Control::Pong { id } => frame::ping(out, id),
            Control::Credit { id, bytes } => frame::credit(out, id, bytes),
            Control::Finish(done) => self.finish = Some(done),
        }
        self.io.write_all(&self.buffer).await
    }

    async fn piece(&mut self, (id, chunk): Piece) -> io::Result<()> {
        self.buffer.clear();
        let is_last = chunk.is_none();
        let chunk = chunk.unwrap_or_default();
        frame::data_head(&mut self.buffer, id, chunk.len(), is_last);
        self.io.write_all(&self.buffer).await?;
        self.io.write_all(&chunk).await?;
        if is_last {
            self.shared.end_outgoing(id);
        }
        Ok(())
    }

    async fn end(&mut self) -> io::Result<()> {
        self.buffer.clear();
        frame::go_away(&mut self.buffer);
        self.io.write_all(&self.buffer).await?;
        self.io.shutdown().await?;
        if let Some(done) = self.finish.take() {
            let _ = done.send(());
        }
        Ok(())
    }
}

/// The chunks of a stream's writer and then its end; nothing more once the peer reset the stream.
fn pieces(id: u32, outgoing: Outgoing) -> BoxStream<'static, Piece> {
    let Outgoing { mut chunks, reset } = outgoing;
    let chunks = stream::poll_fn(move |cx| chunks.poll_recv(cx));
    let stopped = CancellationToken::cancelled_owned(reset);
    let pieces = chunks
        .map(Some)
        .chain(stream::once(async { None }))
        .map(move |chunk| (id, chunk));
    pieces.take_until(stopped).boxed()
}
