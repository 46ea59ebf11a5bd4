//! One key's values, newest last.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{Change, Entry, Revision};

#[derive(Debug)]
pub struct Version {
    pub created: Revision,
    pub modified: Revision,
    /// `None`: the key was deleted.
    pub value: Option<Bytes>,
}

impl Version {
    pub fn of(change: &Change) -> Self {
        match change {
            Change::Put { entry, .. } => Self {
                created: entry.created,
                modified: entry.modified,
                value: Some(entry.value.clone()),
            },
            Change::Delete { revision, .. } => Self {
                created: *revision,
                modified: *revision,
                value: None,
            },
        }
    }

    pub fn is_live(&self) -> bool {
        self.value.is_some()
    }

    pub fn entry(&self, key: &Bytes) -> Option<Entry> {
        Some(Entry {
            key: key.clone(),
            value: self.value.clone()?,
            created: self.created,
            modified: self.modified,
        })
    }
}

#[derive(Debug)]
pub struct Versions {
    newest: Version,
    older: VecDeque<Version>,
}

impl Versions {
    pub fn new(version: Version) -> Self {
        Self {
            newest: version,
            older: VecDeque::new(),
        }
    }

    pub fn newest(&self) -> &Version {
        &self.newest
    }

    pub fn push(&mut self, version: Version) {
        let older = std::mem::replace(&mut self.newest, version);
        self.older.push_back(older);
    }

    /// What the key held as of `at`, if it existed then.
    pub fn live_at(&self, at: Revision) -> Option<&Version> {
        let version = if self.newest.modified <= at {
            &self.newest
        } else {
            let past = self.older.partition_point(|older| older.modified <= at);
            self.older.get(past.checked_sub(1)?)?
        };
        version.is_live().then_some(version)
    }

    /// Drops what cannot be seen as of `oldest` or later; answers whether
    /// nothing is left of the key.
    pub fn forget_before(&mut self, oldest: Revision) -> bool {
        while let Some(front) = self.older.front() {
            let successor = self.older.get(1).unwrap_or(&self.newest);
            let superseded = successor.modified <= oldest;
            let deleted = !front.is_live() && front.modified <= oldest;
            if !superseded && !deleted {
                break;
            }
            self.older.pop_front();
        }
        if self.older.is_empty() {
            // A key written once is the common case: hold no buffer for it.
            self.older.shrink_to_fit();
        }
        self.older.is_empty() && !self.newest.is_live() && self.newest.modified <= oldest
    }
}
