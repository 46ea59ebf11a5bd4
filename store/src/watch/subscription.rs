//! A watch that a hub feeds: history first, then what the hub queues.

use std::{
    sync::{Arc, OnceLock},
    vec,
};

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TryRecvError};

use super::{Hub, Signal, hub::Ending};
use crate::{Change, Error, Revision};

#[derive(Debug)]
pub struct Subscription {
    pub hub: Arc<Hub>,
    pub prefix: Bytes,
    pub id: u64,
    /// What was made before the watch began, up to `delivered`.
    pub history: vec::IntoIter<Arc<Change>>,
    pub live: mpsc::Receiver<Arc<Change>>,
    /// All changes up to here are in `history` or were taken from `live`.
    pub delivered: Revision,
    pub wants_progress: bool,
    /// Why the hub gave up on this watcher, if it did.
    pub ending: Arc<OnceLock<Ending>>,
    pub is_told: bool,
}

impl Subscription {
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
        let ending = *self.ending.get()?;
        if std::mem::replace(&mut self.is_told, true) {
            return None;
        }
        Some(Err(match ending {
            Ending::FellBehind => Error::Slow {
                queue: self.hub.queue(),
            },
            Ending::Interrupted { delivered, oldest } => Error::Compacted {
                wanted: delivered,
                oldest,
            },
        }))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.leave(&self.prefix, self.id);
    }
}
