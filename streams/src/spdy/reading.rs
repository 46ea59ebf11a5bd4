//! The task that reads a connection and fills its streams' pipes.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use bytes::Bytes;
use tokio::{io::AsyncRead, sync::mpsc};

use super::{
    Control, Shared, Side, Stream,
    frame::{Frame, FrameReader},
};
use crate::Error;

/// The protocol's limit of a window.
const MAX_WINDOW: usize = 0x7fff_ffff;

pub async fn run<R: AsyncRead + Unpin>(io: R, shared: Arc<Shared>, accept: mpsc::Sender<Stream>) {
    let mut frames = FrameReader::new(io);
    loop {
        let handled = match frames.next().await {
            Ok(Some(frame)) => handle(&shared, &accept, frame).await,
            Ok(None) => break,
            Err(error) => Err(error),
        };
        if let Err(error) = handled {
            tracing::debug!(%error, "a SPDY connection ends");
            break;
        }
    }
    shared.close();
}

async fn handle(
    shared: &Arc<Shared>,
    accept: &mpsc::Sender<Stream>,
    frame: Frame,
) -> Result<(), Error> {
    match frame {
        Frame::Open {
            id,
            headers,
            is_last,
        } => {
            let is_peers = (id % 2 == 1) == (shared.side == Side::Server);
            if id == 0 || !is_peers {
                return Err(Error::Protocol("a stream id of the wrong side"));
            }
            let Some((stream, outgoing)) = shared.add(id, headers, is_last) else {
                return ask(shared, Control::Reset { id }).await;
            };
            ask(shared, Control::Reply { id, outgoing }).await?;
            // Nobody accepts any more: the stream ends as it is dropped.
            let _ = accept.send(stream).await;
            Ok(())
        }
        Frame::Data { id, bytes, is_last } => {
            deliver(shared, id, bytes).await;
            end_if(shared, id, is_last)
        }
        Frame::Reply { id, is_last } => end_if(shared, id, is_last),
        Frame::Reset { id } => {
            if let Some(entry) = shared.streams().remove(&id) {
                entry.reset.cancel();
                entry.window.close();
            }
            Ok(())
        }
        Frame::Settings { window } => note_window(shared, window),
        Frame::Credit { id, bytes } => add_credit(shared, id, bytes),
        // The answer to a ping is the ping; ours would be of our parity, and we send none.
        Frame::Ping { id } => ask(shared, Control::Pong { id }).await,
        Frame::Other => Ok(()),
    }
}

async fn ask(shared: &Shared, control: Control) -> Result<(), Error> {
    shared.controls.send(control).await.map_err(|_| Error::Gone)
}

/// Bytes for a stream that nobody reads any more are dropped; a full pipe makes the whole connection wait.
async fn deliver(shared: &Shared, id: u32, bytes: Bytes) {
    let sender = shared
        .streams()
        .get(&id)
        .and_then(|entry| entry.incoming.clone());
    if let Some(sender) = sender
        && !bytes.is_empty()
    {
        let _ = sender.send(bytes).await;
    }
}

fn end_if(shared: &Shared, id: u32, is_last: bool) -> Result<(), Error> {
    if is_last {
        shared.end_incoming(id);
    }
    Ok(())
}

fn note_window(shared: &Shared, window: Option<u32>) -> Result<(), Error> {
    let Some(window) = window else { return Ok(()) };
    let window = usize::try_from(window).unwrap_or(MAX_WINDOW);
    if window > MAX_WINDOW {
        return Err(Error::Protocol("a window of more than 2 GiB"));
    }
    shared.gives_credit.store(true, Ordering::Relaxed);
    *shared
        .peer_window
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(window);
    Ok(())
}

fn add_credit(shared: &Shared, id: u32, bytes: u32) -> Result<(), Error> {
    let bytes = usize::try_from(bytes).unwrap_or(MAX_WINDOW);
    if let Some(entry) = shared.streams().get(&id) {
        if entry.window.available_permits() + bytes > MAX_WINDOW {
            return Err(Error::Protocol("a window of more than 2 GiB"));
        }
        entry.window.add_permits(bytes);
    }
    Ok(())
}
