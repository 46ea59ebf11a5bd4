//! The backend itself: what its parts share, and the contract's methods.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use etcd_client::ResponseHeader;
use store::{Entry, Error, Expect, Page, Range, Revision, Store, Value, Watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::failure::{Fate, Refusal};
use crate::feed::Feed;
use crate::origin::Noted;
use crate::root::Root;
use crate::servers::Servers;

/// The store on an etcd cluster. Dropping it ends what it does in the
/// background; [`Etcd::close`] waits for that.
pub struct Etcd {
    pub(crate) servers: Arc<Servers>,
    pub(crate) root: Root,
    pub(crate) feed: Arc<Feed>,
    /// The newest revision in any answer.
    seen: AtomicU64,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Etcd");
        shown.field("endpoints", &self.servers.names());
        shown.field("revision", &self.revision());
        shown.finish_non_exhaustive()
    }
}

impl Etcd {
    /// Asks etcd where it is, and begins to follow it.
    ///
    /// # Errors
    /// [`Error::Datastore`] and [`Error::Io`] if the configuration cannot be
    /// used or the store is not there whole, [`Error::Unreachable`] if no server
    /// answers in time.
    pub async fn connect(config: &Config) -> Result<Arc<Self>, Error> {
        let servers = Arc::new(Servers::new(config).await?);
        let root = Root::new(&config.prefix);
        let origin = Noted::read(&servers, &root).await?;
        let origin = origin.origin(&servers, &root)?;
        let mut etcd = Self::over(config, servers.clone(), root.counting_from(origin));
        let newest = etcd.read_revision().await?;
        etcd.feed = Arc::new(Feed::new(config, newest, origin.begins()));
        let feed = etcd.feed.clone().follow(servers, etcd.root.clone());
        let etcd = Arc::new(etcd);
        etcd.in_background(feed);
        etcd.feed.caught_up(newest).await;
        Ok(etcd)
    }

    /// One that follows nothing.
    pub(crate) fn over(config: &Config, servers: Arc<Servers>, root: Root) -> Self {
        Self {
            servers,
            root,
            feed: Arc::new(Feed::new(config, Revision(0), Revision(0))),
            seen: AtomicU64::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    fn in_background(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Ends watches and the work in the background.
    pub async fn close(&self) {
        self.stop.cancel();
        self.feed.close();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Where etcd was when it gave an answer.
    pub(crate) fn revision_in(&self, header: Option<&ResponseHeader>) -> Revision {
        self.root
            .revision(header.map_or(0, ResponseHeader::revision))
    }

    /// Notes how far etcd is.
    pub(crate) fn saw(&self, revision: Revision) {
        self.seen.fetch_max(revision.0, Ordering::AcqRel);
    }

    pub(crate) fn future(&self, wanted: Revision) -> Error {
        Error::Future {
            wanted,
            newest: self.revision(),
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop.cancel();
        self.feed.close();
    }
}

#[async_trait]
impl Store for Etcd {
    fn revision(&self) -> Revision {
        let seen = Revision(self.seen.load(Ordering::Acquire));
        seen.max(self.feed.published())
    }

    async fn newest(&self) -> Result<Revision, Error> {
        self.read_revision().await
    }

    fn oldest(&self) -> Revision {
        self.feed.oldest()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        self.read_key(key).await
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        self.read_range(range).await
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, Error> {
        self.read_count(prefix).await
    }

    async fn put(&self, key: &[u8], value: Value, expect: Expect) -> Result<Entry, Error> {
        self.write_put(key, value, expect).await
    }

    async fn delete(&self, key: &[u8], expect: Expect) -> Result<(Entry, Revision), Error> {
        self.write_delete(key, expect).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, Error> {
        // Another server may have written what this one has not seen yet.
        if from > self.revision() && from > self.read_revision().await? {
            return Err(self.future(from));
        }
        self.feed.join(Bytes::copy_from_slice(prefix), from)
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        if before < self.root.origin().begins() {
            return Ok(());
        }
        let done = self.servers.compact(self.root.origin().etcds(before)?);
        let done = done.await;
        done.map_err(|failure| match failure.fate {
            Fate::Refused(Refusal::Future) => self.future(before),
            _ => self.servers.read_error(failure),
        })?;
        self.feed.forget(before);
        Ok(())
    }

    fn is_shared(&self) -> bool {
        true
    }
}
