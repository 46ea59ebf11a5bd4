//! A watcher's end: history first, then changes as they are made.

mod hub;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    vec,
};

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TryRecvError};

pub(crate) use self::hub::Hub;
use crate::{Change, Error, Revision};

/// What a watcher reads next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    Change(Arc<Change>),
    /// Every change up to here was delivered. Comes once after each
    /// [`Watch::request_progress`].
    Progress(Revision),
}

/// The changes under one prefix, in order; dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    hub: Arc<Hub>,
    prefix: Bytes,
    id: u64,
    /// What was made before the watch began, up to `delivered`.
    history: vec::IntoIter<Arc<Change>>,
    live: mpsc::Receiver<Arc<Change>>,
    /// All changes up to here are in `history` or were taken from `live`.
    delivered: Revision,
    wants_progress: bool,
    /// The hub gave up on this watcher; the error is still to be told.
    fell_behind: Arc<AtomicBool>,
}

impl Watch {
    /// Waits for the next signal. `None` means that the store was closed.
    /// Cancel-safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// [`Error::Slow`], once, after the last change that was kept; then `None`.
    pub async fn next(&mut self) -> Option<Result<Signal, Error>> {
        if let Some(change) = self.history.next() {
            return Some(Ok(Signal::Change(change)));
        }
        if self.wants_progress {
            return self.next_or_progress();
        }
        match self.live.recv().await {
            Some(change) => Some(Ok(self.deliver(change))),
            None => self.end(),
        }
    }

    /// Asks for a [`Signal::Progress`] as soon as the watcher has caught up. A
    /// writer pays nothing for it.
    pub fn request_progress(&mut self) {
        self.wants_progress = true;
    }

    fn next_or_progress(&mut self) -> Option<Result<Signal, Error>> {
        // The order is the proof: what is published by now is queued by now,
        // so an empty queue afterwards means that all of it was delivered.
        let published = self.hub.published();
        match self.live.try_recv() {
            Ok(change) => Some(Ok(self.deliver(change))),
            Err(TryRecvError::Empty) => {
                self.wants_progress = false;
                self.delivered = self.delivered.max(published);
                Some(Ok(Signal::Progress(self.delivered)))
            }
            Err(TryRecvError::Disconnected) => self.end(),
        }
    }

    fn deliver(&mut self, change: Arc<Change>) -> Signal {
        self.delivered = change.revision();
        Signal::Change(change)
    }

    fn end(&mut self) -> Option<Result<Signal, Error>> {
        let queue = self.hub.queue();
        self.fell_behind
            .swap(false, Ordering::AcqRel)
            .then_some(Err(Error::Slow { queue }))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hub.leave(&self.prefix, self.id);
    }
}

#[cfg(test)]
mod tests;
