//! The embedded backend: the store of one machine, in one directory.
//!
//! Readers share the index behind a read lock; one thread writes. A write goes
//! to that thread, is checked, appended and synced together with those that
//! wait beside it, applied to the index, handed to the watchers, and answered.

pub(crate) mod files;
mod flipped;
pub(crate) mod format;
mod gather;
pub(crate) mod kept;
mod plan;
mod quota;
mod reader;
mod replay;
pub(crate) mod segment;
mod snapshot;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use self::{
    files::Files,
    gather::{Gathering, Patience},
    plan::{Action, Write},
    quota::Quota,
    snapshot::Snapshots,
    writer::{Request, Writer},
};
use crate::{
    Alarm, Change, Entry, Error, Expect, Page, Range, Revision, State, Store, Value, Watch,
    disk::{self, Disk},
    index::{Bounds, Index},
    watch::Hub,
};

const MAX_KEY: usize = 4 << 10;
const MAX_VALUE: usize = 8 << 20;
/// How many writes may wait for the writer before more have to wait outside.
const WAITING: usize = 1024;
/// How many changes are compacted before readers and writers get a turn.
const COMPACT_STEP: usize = 1024;

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
    /// Keys and values that are there may take so many bytes; what would take
    /// more is refused with [`Error::Quota`].
    pub quota: Option<u64>,
    /// A watcher that is more than so many changes behind is ended.
    pub watch_queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            snapshot_after: 64 << 20,
            history_changes: 100_000,
            history_bytes: 24 << 20,
            quota: None,
            watch_queue: 8192,
        }
    }
}

/// The store of one machine, in one directory.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    dir: PathBuf,
    /// Taken when the log is dropped.
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// Its sender goes once the writer has let the directory go.
    writer_ended: watch::Receiver<()>,
}

/// What readers, the writer and snapshots share.
#[derive(Debug)]
struct Shared {
    index: RwLock<Index>,
    hub: Arc<Hub>,
    quota: Quota,
    gathering: Gathering,
    /// The disk failed; no write is taken.
    is_stopped: AtomicBool,
}

impl Shared {
    // A panic under the lock can only be one of the allocator's; the index is
    // then as far as its last whole change.
    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Opens the store in `dir`, made if it is not there. Reads all of it:
    /// blocking.
    ///
    /// # Errors
    /// [`Error::InUse`] if it is open already, [`Error::Version`] if another
    /// skiff wrote it, [`Error::Damaged`] and [`Error::Missing`] if something
    /// that was acknowledged is not there any more.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Arc<Self>, Error> {
        Self::open_on(Arc::new(disk::Local), dir, options)
    }

    /// Opens a store on a disk other than the machine's.
    ///
    /// # Errors
    /// Those of [`Log::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> Result<Arc<Self>, Error> {
        metrics::SERVER.add(&[&segment::SYNC]);
        let files = Files::new(dir.as_ref());
        let lock = claim(&*disk, &files)?;
        let bounds = Bounds {
            changes: options.history_changes,
            bytes: options.history_bytes,
        };
        let replayed = replay::replay(&*disk, &files, bounds)?;
        let hub = Hub::new(replayed.index.newest(), options.watch_queue);
        let shared = Arc::new(Shared {
            index: RwLock::new(replayed.index),
            hub: Arc::new(hub),
            quota: Quota::new(options.quota),
            gathering: Gathering::new(Patience::default()),
            is_stopped: AtomicBool::new(false),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            disk,
            files,
            segment: replayed.segment,
            snapshots: Snapshots::new(options.snapshot_after, replayed.snapshot),
            poison: None,
            buffer: Vec::new(),
        };
        let (requests, queue) = mpsc::channel(WAITING);
        let (ended, writer_ended) = watch::channel(());
        let thread = spawn(dir.as_ref(), writer, queue, (lock, ended))?;
        Ok(Arc::new(Self {
            shared,
            dir: dir.as_ref().to_owned(),
            requests: Some(requests),
            thread: Some(thread),
            writer_ended,
        }))
    }

    /// Refuses further writes, finishes those under way and lets the directory
    /// go. Watches end; reads go on. Whoever calls it while another does waits
    /// for the same end. Dropping the log does the same, but blocks.
    pub async fn close(&self) {
        if let Some(requests) = &self.requests {
            // An error means that it closes already, or has closed.
            let _ = requests.send(Request::Close).await;
        }
        // Nothing is ever sent: an error means that the writer has let go.
        let _ = self.writer_ended.clone().changed().await;
    }

    async fn write(
        &self,
        key: &[u8],
        action: Action,
        expect: Expect,
    ) -> Result<Arc<Change>, Error> {
        check_size("key", key.len(), MAX_KEY)?;
        let (answer, answered) = oneshot::channel();
        let write = Write {
            key: Bytes::copy_from_slice(key),
            action,
            expect,
            answer,
        };
        let requests = self.requests.as_ref().ok_or_else(|| self.closed())?;
        let sent = requests.send(Request::Write(write)).await;
        sent.map_err(|_| self.closed())?;
        if let Some(writer) = &self.thread {
            self.shared.gathering.queued(requests, writer.thread());
        }
        answered.await.map_err(|_| self.closed())?
    }

    fn closed(&self) -> Error {
        Error::Closed {
            dir: self.dir.clone(),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was printed by its own thread.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Store for Log {
    fn revision(&self) -> Revision {
        self.shared.index().newest()
    }

    async fn newest(&self) -> Result<Revision, Error> {
        Ok(self.revision())
    }

    fn oldest(&self) -> Revision {
        self.shared.index().oldest()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        Ok(self.shared.index().get(key))
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        self.shared.index().range(&range)
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, Error> {
        Ok(self.shared.index().count(prefix))
    }

    async fn put(&self, key: &[u8], value: Value, expect: Expect) -> Result<Entry, Error> {
        let size = value.bytes.len();
        check_size("value", size, MAX_VALUE)?;
        if let Some(at) = value.revision_at.filter(|at| *at > size) {
            return Err(Error::BadHole { at, size });
        }
        let change = self.write(key, Action::Put(value), expect).await?;
        match &*change {
            Change::Put { entry, .. } => Ok(entry.clone()),
            Change::Delete { .. } => unreachable!("a put is answered with a put"),
        }
    }

    async fn delete(&self, key: &[u8], expect: Expect) -> Result<(Entry, Revision), Error> {
        let change = self.write(key, Action::Delete, expect).await?;
        match &*change {
            Change::Delete {
                previous, revision, ..
            } => Ok((previous.clone(), *revision)),
            Change::Put { .. } => unreachable!("a delete is answered with a delete"),
        }
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, Error> {
        self.shared.hub.join(Bytes::copy_from_slice(prefix), || {
            let index = self.shared.index();
            Ok((index.changes(prefix, from)?, index.newest()))
        })
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        let newest = self.revision();
        if before > newest {
            return Err(Error::Future {
                wanted: before,
                newest,
            });
        }
        while self.shared.index_mut().compact(before, COMPACT_STEP) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn state(&self) -> Option<State> {
        let quota = &self.shared.quota;
        let alarm = if self.shared.is_stopped.load(Ordering::Relaxed) {
            Some(Alarm::Stopped)
        } else {
            quota.is_exceeded().then_some(Alarm::NoSpace)
        };
        Some(State {
            live: self.shared.index().live(),
            quota: quota.limit(),
            alarm,
        })
    }
}

fn check_size(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
    if size > limit {
        return Err(Error::TooLarge { what, size, limit });
    }
    Ok(())
}

/// Makes the directory this process's own.
pub(crate) fn claim(disk: &dyn Disk, files: &Files) -> Result<disk::Lock, Error> {
    disk.make_dir(files.dir()).map_err(|source| Error::Io {
        what: "make the directory",
        path: files.dir().to_owned(),
        source,
    })?;
    let lock = disk.lock(&files.lock()).map_err(|source| Error::Io {
        what: "lock",
        path: files.lock(),
        source,
    })?;
    match lock {
        disk::Lock::Held(_) => Ok(lock),
        disk::Lock::Taken { holder } => Err(Error::InUse {
            dir: files.dir().to_owned(),
            holder,
        }),
    }
}

fn spawn(
    dir: &Path,
    writer: Writer,
    requests: mpsc::Receiver<Request>,
    (lock, ended): (disk::Lock, watch::Sender<()>),
) -> Result<JoinHandle<()>, Error> {
    let thread = thread::Builder::new().name("store-writer".into());
    let run = move || {
        writer.run(requests);
        // Whoever is told may open the directory again.
        drop(lock);
        drop(ended);
    };
    thread.spawn(run).map_err(|source| Error::Io {
        what: "start the writer of",
        path: dir.to_owned(),
        source,
    })
}
