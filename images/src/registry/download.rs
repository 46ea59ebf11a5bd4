//! One blob, however often the connection breaks.

use std::{io::Write, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, Uri};
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::{Error, session::Session, transport};
use crate::{Digest, content, depot::Depot, manifest::Descriptor, store::blocking};

const ATTEMPTS: u32 = 5;
/// Pieces between the network and the disk.
const AHEAD: usize = 16;

/// What has come so far.
struct Partial {
    file: NamedTempFile,
    hash: Sha256,
    count: u64,
}

/// Fetches a blob into the depot, verified; `on_bytes` is told of each piece.
pub async fn blob(
    depot: &Depot,
    session: &Session,
    wanted: &Descriptor,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), Error> {
    if depot.blobs.has(&wanted.digest) {
        return Ok(());
    }
    let mut partial = Partial {
        file: depot.disk.staged_file()?,
        hash: Sha256::new(),
        count: 0,
    };
    for attempt in 1.. {
        let outcome = attempt_once(session, wanted, partial, on_bytes).await;
        partial = match outcome {
            (partial, Ok(())) => return finish(depot, wanted, partial),
            (Some(partial), Err(error)) if error.is_transient() && attempt < ATTEMPTS => {
                tracing::debug!(digest = %wanted.digest, attempt, error = crate::error::chain(&error), "trying again");
                partial
            }
            (_, Err(error)) => {
                return Err(Error::Copy {
                    source: Box::new(error),
                });
            }
        };
        tokio::time::sleep(pause(attempt)).await;
    }
    unreachable!("the last attempt returns")
}

fn finish(depot: &Depot, wanted: &Descriptor, partial: Option<Partial>) -> Result<(), Error> {
    let Some(partial) = partial else {
        return Ok(());
    };
    if partial.count != wanted.size {
        return Err(crate::Error::Length {
            expected: wanted.size,
            actual: partial.count,
        }
        .into());
    }
    content::check(&wanted.digest, Digest::finish(partial.hash))?;
    Ok(depot.blobs.adopt(&wanted.digest, partial.file)?)
}

/// 0.2, 0.4, 0.8, … seconds, and up to as much again: many nodes may have lost the same registry.
fn pause(attempt: u32) -> Duration {
    let base = Duration::from_millis(100 << attempt.min(6));
    base + base.mul_f64(rand::random::<f64>())
}

/// One request. The partial blob comes back for the next, unless the disk failed it.
async fn attempt_once(
    session: &Session,
    wanted: &Descriptor,
    mut partial: Partial,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> (Option<Partial>, Result<(), Error>) {
    let (uri, response) = match session.blob(&wanted.digest, partial.count).await {
        Ok(answer) => answer,
        Err(error) => return (Some(partial), Err(error)),
    };
    if response.status() != StatusCode::PARTIAL_CONTENT && partial.count > 0 {
        // It starts over, and so do we.
        match partial
            .file
            .as_file()
            .set_len(0)
            .and_then(|()| partial.file.reopen())
        {
            Ok(_) => {}
            Err(source) => {
                let path = partial.file.path().to_owned();
                return (
                    None,
                    Err(crate::Error::Disk {
                        action: "truncate",
                        path,
                        source,
                    }
                    .into()),
                );
            }
        }
        (partial.hash, partial.count) = (Sha256::new(), 0);
    }
    receive(&uri, response, wanted.size, partial, on_bytes).await
}

/// Hashing and writing happen on a thread of their own, while more comes in.
async fn receive(
    uri: &Uri,
    response: Response<Incoming>,
    size: u64,
    partial: Partial,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> (Option<Partial>, Result<(), Error>) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let room = size.saturating_sub(partial.count);
    let writing = blocking(move || write(receiver, partial));
    let reading = read(uri, response, room, sender, on_bytes);
    let (written, read) = tokio::join!(writing, reading);
    match written {
        Ok(partial) => (Some(partial), read),
        Err(error) => (None, Err(error.into())),
    }
}

async fn read(
    uri: &Uri,
    response: Response<Incoming>,
    room: u64,
    sender: mpsc::Sender<Bytes>,
    on_bytes: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), Error> {
    let mut body = response.into_body();
    let mut count = 0;
    while let Some(chunk) = transport::next_chunk(uri, &mut body).await? {
        count += chunk.len() as u64;
        if count > room {
            return Err(crate::Error::Length {
                expected: room,
                actual: count,
            }
            .into());
        }
        on_bytes(chunk.len() as u64);
        if sender.send(chunk).await.is_err() {
            break; // The disk failed; the writer tells how.
        }
    }
    Ok(())
}

fn write(mut chunks: mpsc::Receiver<Bytes>, mut partial: Partial) -> crate::Result<Partial> {
    use std::os::unix::fs::FileExt;
    while let Some(chunk) = chunks.blocking_recv() {
        partial.hash.update(&chunk);
        let written = partial.file.as_file().write_all_at(&chunk, partial.count);
        written.map_err(crate::Error::disk("write", partial.file.path()))?;
        partial.count += chunk.len() as u64;
    }
    partial
        .file
        .flush()
        .map_err(crate::Error::disk("write", partial.file.path()))?;
    Ok(partial)
}
