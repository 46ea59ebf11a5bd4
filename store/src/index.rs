//! What is in memory: every key's value, its recent past, and the recent
//! changes in order. The log makes it durable; all reading happens here.
//!
//! Revisions are dense: the change at position `i` of the history has revision
//! `oldest + 1 + i`. A value is held once, shared by versions and changes.

mod versions;

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use bytes::Bytes;

use self::versions::{Version, Versions};
use crate::{Change, Entry, Error, Page, Range, Revision, log::kept};

/// What one change costs in memory beside the value it supersedes.
const CHANGE_OVERHEAD: usize = 240;

/// One write compacts at most this many old changes, so that none waits long.
const COMPACT_STEP: usize = 64;

/// How much history is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub changes: usize,
    pub bytes: usize,
}

#[derive(Debug)]
pub struct Index {
    keys: BTreeMap<Bytes, Versions>,
    history: VecDeque<Arc<Change>>,
    history_bytes: usize,
    /// The size of all entries that are there now.
    live: u64,
    oldest: Revision,
    newest: Revision,
    /// A snapshot is being read at this revision; it must not be compacted.
    pinned: Option<Revision>,
    bounds: Bounds,
}

impl Index {
    /// An index at `revision` that knows no keys yet; see [`Index::restore`].
    pub fn new(revision: Revision, bounds: Bounds) -> Self {
        Self {
            keys: BTreeMap::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            live: 0,
            oldest: revision,
            newest: revision,
            pinned: None,
            bounds,
        }
    }

    /// Adds what a snapshot holds.
    pub fn restore(&mut self, entry: Entry) {
        self.live += entry.size();
        let version = Version {
            created: entry.created,
            modified: entry.modified,
            value: Some(entry.value),
        };
        self.keys.insert(entry.key, Versions::new(version));
    }

    pub fn newest(&self) -> Revision {
        self.newest
    }

    pub fn oldest(&self) -> Revision {
        self.oldest
    }

    pub fn live(&self) -> u64 {
        self.live
    }

    pub fn get(&self, key: &[u8]) -> Option<Entry> {
        let (key, versions) = self.keys.get_key_value(key)?;
        versions.newest().entry(key)
    }

    pub fn range(&self, range: &Range) -> Result<Page, Error> {
        let at = range.at.unwrap_or(self.newest);
        self.check_kept(at)?;
        let limit = range.limit.unwrap_or(usize::MAX);
        let mut entries = Vec::new();
        let mut remaining = 0;
        for (key, versions) in self.under(&range.prefix, range.after.as_deref()) {
            let Some(version) = versions.live_at(at) else {
                continue;
            };
            if entries.len() < limit {
                entries.extend(version.entry(key));
            } else {
                remaining += 1;
            }
        }
        Ok(Page {
            entries,
            revision: at,
            more: remaining > 0,
            remaining,
        })
    }

    pub fn count(&self, prefix: &[u8]) -> u64 {
        self.under(prefix, None)
            .filter(|(_, versions)| versions.newest().is_live())
            .count() as u64
    }

    /// The next entries after `after` as of the pinned revision `at`, about
    /// `bytes` of them; nothing at the end.
    pub fn slice(&self, after: Option<&[u8]>, at: Revision, bytes: usize) -> Vec<Entry> {
        let mut size = 0;
        self.under(b"", after)
            .filter_map(|(key, versions)| versions.live_at(at)?.entry(key))
            .take_while(|entry| {
                let fits = size < bytes;
                size += kept::cost(entry);
                fits
            })
            .collect()
    }

    /// The changes under `prefix` after `from`, oldest first.
    pub fn changes(&self, prefix: &[u8], from: Revision) -> Result<Vec<Arc<Change>>, Error> {
        self.check_kept(from)?;
        let skip = (from.0 - self.oldest.0) as usize;
        Ok(self
            .history
            .range(skip..)
            .filter(|change| change.key().starts_with(prefix))
            .cloned()
            .collect())
    }

    /// Makes the next write visible.
    pub fn apply(&mut self, change: Arc<Change>) {
        debug_assert_eq!(change.revision(), self.newest.next(), "revisions are dense");
        self.live -= change.previous().map_or(0, Entry::size);
        if let Change::Put { entry, .. } = &*change {
            self.live += entry.size();
        }
        let version = Version::of(&change);
        match self.keys.get_mut(change.key()) {
            Some(versions) => versions.push(version),
            None => {
                self.keys
                    .insert(change.key().clone(), Versions::new(version));
            }
        }
        self.newest = change.revision();
        self.history_bytes += cost(&change);
        self.history.push_back(change);
        self.keep_bounds();
    }

    /// Forgets history up to `before`, at most so many changes at a time;
    /// answers whether there is more to forget.
    pub fn compact(&mut self, before: Revision, at_most: usize) -> bool {
        let before = self.pinned.map_or(before, |pinned| pinned.min(before));
        for _ in 0..at_most {
            if self.oldest >= before {
                return false;
            }
            self.forget_oldest();
        }
        self.oldest < before
    }

    /// Keeps the newest revision readable until [`Index::unpin`]; answers it.
    pub fn pin(&mut self) -> Revision {
        self.pinned = Some(self.newest);
        self.newest
    }

    pub fn unpin(&mut self) {
        self.pinned = None;
    }

    fn check_kept(&self, wanted: Revision) -> Result<(), Error> {
        if wanted < self.oldest {
            let oldest = self.oldest;
            return Err(Error::Compacted { wanted, oldest });
        }
        if wanted > self.newest {
            let newest = self.newest;
            return Err(Error::Future { wanted, newest });
        }
        Ok(())
    }

    fn under<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Versions)> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.keys
            .range::<[u8], _>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn keep_bounds(&mut self) {
        for _ in 0..COMPACT_STEP {
            let over =
                self.history.len() > self.bounds.changes || self.history_bytes > self.bounds.bytes;
            let held = self.pinned.is_some_and(|pinned| self.oldest >= pinned);
            if !over || held {
                return;
            }
            self.forget_oldest();
        }
    }

    /// Moves `oldest` one change up: what that change superseded goes.
    fn forget_oldest(&mut self) {
        let Some(change) = self.history.pop_front() else {
            return;
        };
        self.oldest = change.revision();
        self.history_bytes -= cost(&change);
        if let Some(versions) = self.keys.get_mut(change.key())
            && versions.forget_before(self.oldest)
        {
            self.keys.remove(change.key());
        }
    }
}

/// The memory that is given back when the change is forgotten.
fn cost(change: &Change) -> usize {
    CHANGE_OVERHEAD + change.previous().map_or(0, |entry| entry.value.len())
}

#[cfg(test)]
mod tests;
