//! Where writes meet watchers: finds the watchers of a key by its prefixes, so
//! that watchers of other keys cost a write nothing.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Subscription, Watch};
use crate::{Change, Error, Revision};

/// Why the hub gave up on a watcher.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    FellBehind,
    /// Changes after `delivered` were lost.
    Interrupted {
        delivered: Revision,
        oldest: Revision,
    },
}

/// The watchers of one store, whichever backend it is.
#[derive(Debug)]
pub struct Hub {
    watchers: Mutex<Watchers>,
    published: AtomicU64,
    queue: usize,
}

#[derive(Debug, Default)]
struct Watchers {
    /// Sorted. Each written key is looked up, and few watchers come and go.
    by_prefix: Vec<(Bytes, Vec<Watcher>)>,
    next_id: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    /// Changes up to here reach the watcher as history.
    after: Revision,
    queue: mpsc::Sender<Arc<Change>>,
    ending: Arc<OnceLock<Ending>>,
}

impl Hub {
    pub fn new(published: Revision, queue: usize) -> Self {
        Self {
            watchers: Mutex::default(),
            published: AtomicU64::new(published.0),
            queue: queue.max(1),
        }
    }

    pub fn queue(&self) -> usize {
        self.queue
    }

    pub fn published(&self) -> Revision {
        Revision(self.published.load(Ordering::Acquire))
    }

    /// Adds a watcher. `history` reads, under the hub's lock, what there is
    /// already and up to which revision: what is applied to the index later is
    /// published later, so nothing is missed and nothing comes twice.
    pub fn join(
        self: &Arc<Self>,
        prefix: Bytes,
        history: impl FnOnce() -> Result<(Vec<Arc<Change>>, Revision), Error>,
    ) -> Result<Watch, Error> {
        let mut watchers = self.lock();
        let (history, after) = history()?;
        let (queue, live) = mpsc::channel(self.queue);
        let ending = Arc::new(OnceLock::new());
        let id = watchers.next_id;
        watchers.next_id += 1;
        if !watchers.is_closed {
            let watcher = Watcher {
                id,
                after,
                queue,
                ending: Arc::clone(&ending),
            };
            watchers.add(prefix.clone(), watcher);
        }
        let subscription = Subscription {
            hub: Arc::clone(self),
            prefix,
            id,
            history: history.into_iter(),
            live,
            delivered: after,
            wants_progress: false,
            ending,
            is_told: false,
        };
        Ok(subscription.into())
    }

    pub fn leave(&self, prefix: &Bytes, id: u64) {
        self.lock().remove(prefix, id);
    }

    /// Hands on changes that are visible in the index by now.
    pub fn publish(&self, changes: &[Arc<Change>]) {
        let Some(last) = changes.last() else { return };
        let mut watchers = self.lock();
        for change in changes {
            watchers.offer(change);
        }
        self.published.store(last.revision().0, Ordering::Release);
    }

    /// Notes that nothing else changed up to `revision`.
    pub fn advance(&self, revision: Revision) {
        let _watchers = self.lock();
        self.published.fetch_max(revision.0, Ordering::AcqRel);
    }

    /// Ends the watches there are, because changes before `oldest` cannot be
    /// had any more; `reset` is done where no watcher can join or be told.
    pub fn interrupt(&self, oldest: Revision, reset: impl FnOnce()) {
        let mut watchers = self.lock();
        let delivered = self.published();
        for watcher in watchers.by_prefix.iter().flat_map(|(_, same)| same) {
            let _ = watcher
                .ending
                .set(Ending::Interrupted { delivered, oldest });
        }
        watchers.by_prefix.clear();
        reset();
        self.published.fetch_max(oldest.0, Ordering::AcqRel);
    }

    /// Ends all watches, now and from now on.
    pub fn close(&self) {
        let mut watchers = self.lock();
        watchers.is_closed = true;
        watchers.by_prefix.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        // Each step under the lock leaves the table whole.
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watchers {
    fn find(&self, prefix: &Bytes) -> Result<usize, usize> {
        self.by_prefix.binary_search_by(|(one, _)| one.cmp(prefix))
    }

    fn add(&mut self, prefix: Bytes, watcher: Watcher) {
        match self.find(&prefix) {
            Ok(at) => self.by_prefix[at].1.push(watcher),
            Err(at) => self.by_prefix.insert(at, (prefix, vec![watcher])),
        }
    }

    fn remove(&mut self, prefix: &Bytes, id: u64) {
        let Ok(at) = self.find(prefix) else { return };
        let same_prefix = &mut self.by_prefix[at].1;
        same_prefix.retain(|watcher| watcher.id != id);
        if same_prefix.is_empty() {
            self.by_prefix.remove(at);
        }
    }

    /// Offers the change to the watchers of each prefix of its key, longest
    /// first. The greatest prefix in the table that is not above
    /// `key[..length]` is either a prefix of the key, or tells by where it
    /// departs from the key how long the next candidate can be at most.
    fn offer(&mut self, change: &Arc<Change>) {
        let key = change.key();
        let (mut length, mut end) = (key.len(), self.by_prefix.len());
        loop {
            let candidates = &mut self.by_prefix[..end];
            end = candidates.partition_point(|(prefix, _)| prefix[..] <= key[..length]);
            let Some((prefix, watchers)) = end.checked_sub(1).map(|at| &mut candidates[at]) else {
                return;
            };
            if key.starts_with(prefix) {
                watchers.retain(|watcher| watcher.offer(change));
                let Some(shorter) = prefix.len().checked_sub(1) else {
                    return;
                };
                length = shorter;
            } else {
                length = common_length(key, prefix);
            }
        }
    }
}

impl Watcher {
    /// Queues the change; answers whether the watcher is to be kept.
    fn offer(&self, change: &Arc<Change>) -> bool {
        if change.revision() <= self.after {
            return true;
        }
        let queued = self.queue.try_send(Arc::clone(change)).is_ok();
        if !queued {
            // Before the queue is dropped, or the watcher would see its end
            // and no reason.
            let _ = self.ending.set(Ending::FellBehind);
        }
        queued
    }
}

fn common_length(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
