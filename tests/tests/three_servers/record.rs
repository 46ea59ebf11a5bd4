//! What clients did and saw. All of it is told by one process, so what one client
//! knew before another began is known.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The newest revision that any client has learnt of: a read that begins now must
/// not be older.
pub type Floor = u64;

/// A key as a read found it: the revision of its last write.
pub type Found = (String, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Create,
    /// On top of the version with this revision.
    Update(u64),
    Delete(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged, with the object's new revision; a delete tells none.
    Done(Option<u64>),
    /// The server said, with this code, that it did nothing.
    Refused(u16),
    /// No answer, or one that does not say.
    InDoubt,
}

/// One attempt at a write.
#[derive(Clone, Debug)]
pub struct Write {
    pub floor: Floor,
    pub key: String,
    /// Its own, written into the object; a delete's is not.
    pub op: u64,
    pub what: What,
    pub outcome: Outcome,
}

#[derive(Clone, Debug)]
pub struct Read {
    pub floor: Floor,
    pub key: String,
    /// `None`: there is no such key.
    pub found: Option<u64>,
}

/// Everything, of one revision.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub floor: Floor,
    pub at: u64,
    pub items: Vec<Found>,
}

/// What a watcher is told of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: u64,
    pub key: String,
    pub is_delete: bool,
    /// Who wrote it, and the number it holds.
    pub op: u64,
    pub number: u64,
}

/// What one watcher was told without a break, by one server after another.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// It was told of everything after this, up to `to`.
    pub from: u64,
    pub to: u64,
    pub events: Vec<Event>,
}

/// What all clients have done.
#[derive(Default)]
pub struct Record {
    floor: AtomicU64,
    ops: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Clone, Debug, Default)]
pub struct Kept {
    pub writes: Vec<Write>,
    pub reads: Vec<Read>,
    pub lists: Vec<List>,
    /// A series a watcher.
    pub watched: Vec<Vec<Watched>>,
    /// What was seen to be wrong at once.
    pub flaws: Vec<String>,
}

impl Record {
    pub fn floor(&self) -> Floor {
        self.floor.load(Ordering::SeqCst)
    }

    /// Somebody has learnt of this revision.
    pub fn learn(&self, revision: u64) {
        self.floor.fetch_max(revision, Ordering::SeqCst);
    }

    /// A number for an attempt, never zero.
    pub fn next_op(&self) -> u64 {
        self.ops.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
