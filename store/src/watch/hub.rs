//! Where writes meet watchers: finds the watchers of a key by its prefixes, so
//! that watchers of other keys cost a write nothing.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Subscription, Watch};
use crate::{Change, Error, Revision};

#[derive(Debug)]
pub struct Hub {
    watchers: Mutex<Watchers>,
    published: AtomicU64,
    queue: usize,
}

#[derive(Debug, Default)]
struct Watchers {
    by_prefix: BTreeMap<Bytes, Vec<Watcher>>,
    next_id: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Watcher {
    id: u64,
    /// Changes up to here reach the watcher as history.
    after: Revision,
    queue: mpsc::Sender<Arc<Change>>,
    fell_behind: Arc<AtomicBool>,
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
        let fell_behind = Arc::new(AtomicBool::new(false));
        let id = watchers.next_id;
        watchers.next_id += 1;
        if !watchers.is_closed {
            let watcher = Watcher {
                id,
                after,
                queue,
                fell_behind: Arc::clone(&fell_behind),
            };
            let same_prefix = watchers.by_prefix.entry(prefix.clone()).or_default();
            same_prefix.push(watcher);
        }
        let subscription = Subscription {
            hub: Arc::clone(self),
            prefix,
            id,
            history: history.into_iter(),
            live,
            delivered: after,
            wants_progress: false,
            fell_behind,
        };
        Ok(subscription.into())
    }

    pub fn leave(&self, prefix: &Bytes, id: u64) {
        let mut watchers = self.lock();
        if let Some(same_prefix) = watchers.by_prefix.get_mut(prefix) {
            same_prefix.retain(|watcher| watcher.id != id);
            if same_prefix.is_empty() {
                watchers.by_prefix.remove(prefix);
            }
        }
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
    /// Offers the change to the watchers of each prefix of its key, longest
    /// first. The greatest prefix in the table that is not above
    /// `key[..length]` is either a prefix of the key, or tells by where it
    /// departs from the key how long the next candidate can be at most.
    fn offer(&mut self, change: &Arc<Change>) {
        let key = change.key();
        let mut length = key.len();
        loop {
            let up_to = (Bound::Unbounded, Bound::Included(&key[..length]));
            let Some((prefix, watchers)) = self.by_prefix.range_mut::<[u8], _>(up_to).next_back()
            else {
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
            self.fell_behind.store(true, Ordering::Release);
        }
        queued
    }
}

fn common_length(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
