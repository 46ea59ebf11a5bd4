//! SPDY/3.1 as Kubernetes uses it: many streams on one upgraded connection.
//!
//! Kubernetes' own implementation (moby/spdystream) neither keeps nor sends
//! windows, so a window limits us only where the peer announced one by a
//! SETTINGS frame; what we read is given back as credit to such a peer. What
//! bounds everyone is that a full pipe stops the reading of the connection.

mod frame;
mod header_block;
mod reading;
mod writing;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
pub(crate) use header_block::Headers;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, mpsc, oneshot},
};
use tokio_util::{
    sync::{CancellationToken, PollSemaphore},
    task::AbortOnDropHandle,
};

use crate::{
    Error,
    pipe::{self, Reader, Writer},
};

/// What a peer may send before we gave credit; the protocol's default.
const WINDOW: usize = 64 * 1024;
/// Streams alive at a time on one connection.
const MAX_STREAMS: usize = 4096;
/// Streams opened by the peer that nobody accepted yet.
const BACKLOG: usize = 64;
const CONTROLS: usize = 256;
/// How long the peer may take to close, once all was sent.
const LINGER: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// One connection; dropped, it closes at once.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    accepted: mpsc::Receiver<Stream>,
    reading: AbortOnDropHandle<()>,
    _writing: AbortOnDropHandle<()>,
}

/// One stream, and the headers it was opened with.
pub(crate) struct Stream {
    pub headers: Headers,
    pub reader: Reader,
    pub writer: Writer,
}

/// What both tasks and all streams of a connection know.
struct Shared {
    side: Side,
    controls: mpsc::Sender<Control>,
    streams: Mutex<HashMap<u32, Entry>>,
    next_id: AtomicU32,
    /// The peer announced windows: what is read is given back.
    gives_credit: AtomicBool,
    /// The peer's window for new streams, where it announced one.
    peer_window: Mutex<Option<usize>>,
    gone: CancellationToken,
}

/// A stream as the tasks know it.
struct Entry {
    /// None after the peer's last byte.
    incoming: Option<mpsc::Sender<Bytes>>,
    /// Our side has sent its last byte.
    is_written: bool,
    window: Arc<Semaphore>,
    reset: CancellationToken,
}

/// What the writing task is asked to send besides the streams' bytes.
enum Control {
    Open {
        id: u32,
        headers: Headers,
        outgoing: Outgoing,
    },
    Reply {
        id: u32,
        outgoing: Outgoing,
    },
    Reset {
        id: u32,
    },
    Pong {
        id: u32,
    },
    Credit {
        id: u32,
        bytes: u32,
    },
    /// Send what is under way, then end; told when all is written.
    Finish(oneshot::Sender<()>),
}

struct Outgoing {
    chunks: mpsc::Receiver<Bytes>,
    reset: CancellationToken,
}

impl Connection {
    pub fn new<S>(io: S, side: Side, gone: CancellationToken) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (controls, asked) = mpsc::channel(CONTROLS);
        let (accept, accepted) = mpsc::channel(BACKLOG);
        let shared = Arc::new(Shared {
            side,
            controls,
            streams: Mutex::default(),
            next_id: AtomicU32::new(if side == Side::Client { 1 } else { 2 }),
            gives_credit: AtomicBool::new(false),
            peer_window: Mutex::default(),
            gone,
        });
        let (read, write) = tokio::io::split(io);
        let reading = AbortOnDropHandle::new(tokio::spawn(reading::run(
            read,
            Arc::clone(&shared),
            accept,
        )));
        let writing = AbortOnDropHandle::new(tokio::spawn(writing::run(
            write,
            Arc::clone(&shared),
            asked,
        )));
        Self {
            shared,
            accepted,
            reading,
            _writing: writing,
        }
    }

    /// The next stream that the peer opens; none when it is gone.
    pub async fn accept(&mut self) -> Option<Stream> {
        self.accepted.recv().await
    }

    pub async fn open(&self, headers: Headers) -> Result<Stream, Error> {
        let id = self.shared.next_id.fetch_add(2, Ordering::Relaxed);
        let (stream, outgoing) = self
            .shared
            .add(id, headers.clone(), false)
            .ok_or(Error::Gone)?;
        let open = Control::Open {
            id,
            headers,
            outgoing,
        };
        self.shared
            .controls
            .send(open)
            .await
            .map_err(|_| Error::Gone)?;
        Ok(stream)
    }

    /// Ends the connection after all that was written to streams whose writers are dropped or shut down.
    pub async fn finish(mut self) {
        let (done, mut told) = oneshot::channel();
        // A stream that nobody accepted would never end.
        while self.accepted.try_recv().is_ok() {}
        if self
            .shared
            .controls
            .send(Control::Finish(done))
            .await
            .is_err()
        {
            return;
        }
        loop {
            tokio::select! {
                written = &mut told => if written.is_err() { return } else { break },
                Some(stream) = self.accepted.recv() => drop(stream),
            }
        }
        // Closing while the peer still sends would make the kernel throw away what the peer has not read yet.
        self.accepted.close();
        let _ = tokio::time::timeout(LINGER, &mut self.reading).await;
    }
}

impl Shared {
    fn streams(&self) -> MutexGuard<'_, HashMap<u32, Entry>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a stream's pipes; none when there are too many streams or the id is taken.
    fn add(
        self: &Arc<Self>,
        id: u32,
        headers: Headers,
        is_read: bool,
    ) -> Option<(Stream, Outgoing)> {
        let (sender, mut reader) = pipe::incoming();
        let (chunks, mut writer) = pipe::outgoing();
        let peer_window = *self
            .peer_window
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let window = Arc::new(Semaphore::new(peer_window.unwrap_or(0)));
        if peer_window.is_some() {
            writer.limit_to(PollSemaphore::new(Arc::clone(&window)));
        }
        reader.on_read(self.credit(id));
        let reset = CancellationToken::new();
        let incoming = (!is_read).then_some(sender);
        let entry = Entry {
            incoming,
            is_written: false,
            window,
            reset: reset.clone(),
        };
        let mut streams = self.streams();
        if self.gone.is_cancelled() || streams.len() >= MAX_STREAMS || streams.contains_key(&id) {
            return None;
        }
        streams.insert(id, entry);
        Some((
            Stream {
                headers,
                reader,
                writer,
            },
            Outgoing { chunks, reset },
        ))
    }

    /// Gives bytes that were read back to the peer, half a window at a time.
    fn credit(self: &Arc<Self>, id: u32) -> pipe::OnRead {
        let (shared, mut owed) = (Arc::downgrade(self), 0_usize);
        Box::new(move |count| {
            owed += count;
            let Some(shared) = shared.upgrade() else {
                return;
            };
            if owed < WINDOW / 2 || !shared.gives_credit.load(Ordering::Relaxed) {
                return;
            }
            let bytes = u32::try_from(owed).unwrap_or(u32::MAX >> 1);
            // A full queue is tried again at the next read.
            if shared
                .controls
                .try_send(Control::Credit { id, bytes })
                .is_ok()
            {
                owed = 0;
            }
        })
    }

    /// The peer sent its last byte.
    fn end_incoming(&self, id: u32) {
        self.end(id, |entry| entry.incoming = None);
    }

    /// We sent our last byte.
    fn end_outgoing(&self, id: u32) {
        self.end(id, |entry| entry.is_written = true);
    }

    fn end(&self, id: u32, end: impl FnOnce(&mut Entry)) {
        let mut streams = self.streams();
        if let Some(entry) = streams.get_mut(&id) {
            end(entry);
            if entry.is_written && entry.incoming.is_none() {
                streams.remove(&id);
            }
        }
    }

    /// The peer is gone: readers come to their end, writers fail.
    fn close(&self) {
        self.gone.cancel();
        for (_, entry) in self.streams().drain() {
            entry.reset.cancel();
            entry.window.close();
        }
    }
}

#[cfg(test)]
mod tests;
