//! The embedded backend.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;

use crate::{Entry, Error, Expect, Page, Range, Revision, Store, Value, Watch};

/// How much the log keeps, and when it tidies up.
#[derive(Clone, Debug)]
pub struct Options {
    /// A snapshot is taken once the log since the last one has this many bytes
    /// (or as many as that snapshot, if it was bigger).
    pub snapshot_after: u64,
    /// History beyond this many changes is compacted.
    pub history_changes: usize,
    /// History beyond this many bytes of memory is compacted.
    pub history_bytes: usize,
    /// A watcher that is more than so many changes behind is ended.
    pub watch_queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            snapshot_after: 64 << 20,
            history_changes: 100_000,
            history_bytes: 24 << 20,
            watch_queue: 8192,
        }
    }
}

/// The store of one machine, in one directory.
pub struct Log(());

impl Log {
    /// Opens the store in `dir`, made if it is not there. Reads all of it:
    /// blocking.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Arc<Self>, Error> {
        let _ = (dir.as_ref(), options);
        todo!()
    }

    /// Refuses further writes, finishes those under way and lets the directory
    /// go. Watches end. Dropping the log does the same, but blocks.
    pub async fn close(&self) {
        todo!()
    }
}

#[async_trait]
impl Store for Log {
    fn revision(&self) -> Revision {
        todo!()
    }
    fn oldest(&self) -> Revision {
        todo!()
    }
    async fn get(&self, _: &[u8]) -> Result<Option<Entry>, Error> {
        todo!()
    }
    async fn range(&self, _: Range) -> Result<Page, Error> {
        todo!()
    }
    async fn count(&self, _: &[u8]) -> Result<u64, Error> {
        todo!()
    }
    async fn put(&self, _: &[u8], _: Value, _: Expect) -> Result<Entry, Error> {
        todo!()
    }
    async fn delete(&self, _: &[u8], _: Expect) -> Result<(Entry, Revision), Error> {
        todo!()
    }
    async fn watch(&self, _: &[u8], _: Revision) -> Result<Watch, Error> {
        todo!()
    }
    async fn compact(&self, _: Revision) -> Result<(), Error> {
        todo!()
    }
}
