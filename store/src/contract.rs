//! What the rest of skiff may ask of any store, whichever backend keeps it.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Watch, backup::Backup};

/// The number of a write; the next write has the next number. Zero is the
/// empty store, before the first write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Revision {
    /// The revision of the write after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Bytes with, where wanted, a hole into which the store writes the decimal
/// revision that the write gets (an object carries its own resourceVersion).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub bytes: Bytes,
    /// The offset in `bytes` at which the digits are inserted.
    pub revision_at: Option<usize>,
}

impl Value {
    /// A value stored as it is. The store keeps `bytes` themselves: a slice of
    /// a bigger buffer keeps the whole buffer in memory.
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            revision_at: None,
        }
    }

    /// A value into which the decimal revision is inserted at `offset`.
    pub fn with_revision_at(bytes: impl Into<Bytes>, offset: usize) -> Self {
        Self {
            bytes: bytes.into(),
            revision_at: Some(offset),
        }
    }

    /// The bytes as they are stored under `revision`.
    pub fn fill(&self, revision: Revision) -> Bytes {
        let Some(at) = self.revision_at else {
            return self.bytes.clone();
        };
        let digits = revision.0.to_string();
        let mut filled = Vec::with_capacity(self.bytes.len() + digits.len());
        filled.extend_from_slice(&self.bytes[..at]);
        filled.extend_from_slice(digits.as_bytes());
        filled.extend_from_slice(&self.bytes[at..]);
        Bytes::from(filled)
    }
}

/// A key and what it held at some revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Bytes,
    pub value: Bytes,
    /// The write that made the key, after it last was absent.
    pub created: Revision,
    /// The write that put this value.
    pub modified: Revision,
}

impl Entry {
    /// What the entry counts for in a quota: the bytes of key and value.
    pub fn size(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }
}

/// What must be true of a key for a write to it to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing; the write happens whatever is there.
    Any,
    /// The key does not exist.
    Absent,
    /// The key's last write is this one.
    At(Revision),
}

/// Which entries a reader wants: those under `prefix`, in the order of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub prefix: Bytes,
    /// Only keys greater than this one (the last key of the page before).
    pub after: Option<Bytes>,
    /// At most so many entries.
    pub limit: Option<usize>,
    /// As of this revision; the newest if none is given.
    pub at: Option<Revision>,
}

impl Range {
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self {
            prefix: Bytes::copy_from_slice(prefix.as_ref()),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn after(mut self, key: impl AsRef<[u8]>) -> Self {
        self.after = Some(Bytes::copy_from_slice(key.as_ref()));
        self
    }

    #[must_use]
    pub fn limit(mut self, entries: usize) -> Self {
        self.limit = Some(entries);
        self
    }

    #[must_use]
    pub fn at(mut self, revision: Revision) -> Self {
        self.at = Some(revision);
        self
    }
}

/// Part of a range, all of it as of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// The revision the page shows; pass it as `at` to read on consistently.
    pub revision: Revision,
    /// Entries of the range follow that did not fit the limit.
    pub more: bool,
    /// How many they are.
    pub remaining: u64,
}

/// One write, as watchers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put {
        entry: Entry,
        previous: Option<Entry>,
    },
    Delete {
        key: Bytes,
        revision: Revision,
        previous: Entry,
    },
}

impl Change {
    pub fn key(&self) -> &Bytes {
        match self {
            Self::Put { entry, .. } => &entry.key,
            Self::Delete { key, .. } => key,
        }
    }

    pub fn revision(&self) -> Revision {
        match self {
            Self::Put { entry, .. } => entry.modified,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// What the key held before the write.
    pub fn previous(&self) -> Option<&Entry> {
        match self {
            Self::Put { previous, .. } => previous.as_ref(),
            Self::Delete { previous, .. } => Some(previous),
        }
    }
}

/// How full a store is, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The bytes of all keys and values that are there now.
    pub live: u64,
    /// How many there may be.
    pub quota: Option<u64>,
    pub alarm: Option<Alarm>,
}

/// Why a store refuses writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// The quota is used up. Deletes go on; they or a higher quota end it.
    NoSpace,
    /// The disk failed: nothing is written until a restart.
    Stopped,
}

/// The cluster's memory.
#[async_trait]
pub trait Store: Send + Sync {
    /// The newest revision that was visible here. Where several servers share
    /// the store there may be newer ones: see [`Store::newest`].
    fn revision(&self) -> Revision;

    /// The newest revision of all: not older than any that anyone has seen
    /// before the call.
    async fn newest(&self) -> Result<Revision, Error>;

    /// The oldest revision that can still be read and watched from.
    fn oldest(&self) -> Revision;

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error>;

    /// # Errors
    /// [`Error::Compacted`] and [`Error::Future`] if `range.at` is too old or
    /// not reached yet.
    async fn range(&self, range: Range) -> Result<Page, Error>;

    /// How many keys there are under `prefix` now.
    async fn count(&self, prefix: &[u8]) -> Result<u64, Error>;

    /// # Errors
    /// [`Error::Conflict`] with what is there, if `expect` does not hold;
    /// [`Error::Quota`] if there is no room for it. Whatever the error, the
    /// write was not acknowledged.
    async fn put(&self, key: &[u8], value: Value, expect: Expect) -> Result<Entry, Error>;

    /// Removes a key and answers what it held and the revision of the removal.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not there, whatever is expected;
    /// [`Error::Conflict`] if it is and `expect` does not hold.
    async fn delete(&self, key: &[u8], expect: Expect) -> Result<(Entry, Revision), Error>;

    /// All changes under `prefix` with a revision above `from`: first those
    /// that were made already, then each as it is made, in order, each once.
    ///
    /// # Errors
    /// [`Error::Compacted`] if some of them are forgotten, [`Error::Future`]
    /// if `from` is not reached yet.
    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, Error>;

    /// Forgets the history before `before`: that revision and later ones stay
    /// readable. What is forgotten already is no mistake.
    ///
    /// # Errors
    /// [`Error::Future`] if `before` is not reached yet.
    async fn compact(&self, before: Revision) -> Result<(), Error>;

    /// Whether the value should be written again though nothing about it has
    /// changed: a layer that encrypts says so of what an older key sealed.
    async fn is_stale(&self, _key: &[u8]) -> Result<bool, Error> {
        Ok(false)
    }

    /// All there is at one revision, as it is stored: a layer over a store hands
    /// on what the one below it says.
    ///
    /// # Errors
    /// Those of [`Store::range`].
    async fn backup(&self) -> Result<Backup, Error> {
        Backup::of(self).await
    }

    /// Whether other servers may work on the same store.
    fn is_shared(&self) -> bool {
        false
    }

    /// `None`: the backend cannot tell.
    fn state(&self) -> Option<State> {
        None
    }
}
