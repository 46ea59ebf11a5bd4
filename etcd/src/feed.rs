//! The one watch of etcd that feeds all watches of this server.
//!
//! It follows everything under the root, keeps the recent changes for watchers
//! that come back, and hands each change to the hub once and in order. When a
//! connection breaks it goes on, at another server, behind the last revision
//! it has handed on. If etcd has forgotten what follows that one, all watchers
//! are ended and must list again.

mod batch;
mod follower;
mod ring;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use etcd_client::{ResponseHeader, WatchOptions, WatchResponse, WatchStream};
use store::{Change, Error, Hub, Revision, Watch};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::config::Config;
use crate::feed::batch::{Batch, Lost};
use crate::feed::follower::Follower;
use crate::feed::ring::Ring;
use crate::root::Root;
use crate::servers::Servers;

/// How long a server may take to begin a watch.
const BEGIN: Duration = Duration::from_secs(5);
/// Pauses between attempts to go on, doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);
/// How far back a start reads, so that watchers of another server find here
/// what follows their last revision. Less than a watcher's queue holds.
const BACKLOG: u64 = 2000;
const CATCH_UP: Duration = Duration::from_secs(1);
/// An etcd that nobody wrote to is at this revision.
const EMPTY: u64 = 1;

pub struct Feed {
    hub: Arc<Hub>,
    ring: Mutex<Ring>,
    /// Told after each step of the hub.
    published: Arc<Notify>,
    /// The newest change that this server made: it is going to come.
    made: AtomicU64,
    /// etcd has taken the request to watch once.
    has_begun: AtomicBool,
    is_serving: AtomicBool,
}

/// Why following ended.
enum End {
    Broken(String),
    /// What follows the last change can only be had from here on.
    Forgotten(Revision),
}

impl Feed {
    /// `begins` is the first revision of which all is known.
    pub fn new(config: &Config, newest: Revision, begins: Revision) -> Self {
        let from = newest.0.saturating_sub(BACKLOG).max(EMPTY).max(begins.0);
        let from = Revision(from.min(newest.0));
        Self {
            hub: Arc::new(Hub::new(from, config.watch_queue)),
            ring: Mutex::new(Ring::new(
                from,
                config.history_changes,
                config.history_bytes,
            )),
            published: Arc::default(),
            made: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            is_serving: AtomicBool::new(false),
        }
    }

    /// Waits until what was there at the start has come. If the last write
    /// was somebody else's, nothing tells when that is: then not for long.
    pub async fn caught_up(&self, newest: Revision) {
        let caught_up = async {
            loop {
                let mut step = std::pin::pin!(self.published.notified());
                step.as_mut().enable();
                if self.has_begun.load(Ordering::Acquire) && self.published() >= newest {
                    return;
                }
                step.await;
            }
        };
        let _ = timeout(CATCH_UP, caught_up).await;
        self.is_serving.store(true, Ordering::Release);
    }

    /// Notes a change of this server's that etcd has acknowledged.
    pub fn made(&self, revision: Revision) {
        self.made.fetch_max(revision.0, Ordering::AcqRel);
    }

    pub fn published(&self) -> Revision {
        self.hub.published()
    }

    pub fn oldest(&self) -> Revision {
        self.ring().oldest()
    }

    /// # Errors
    /// [`Error::Compacted`] if changes after `from` are forgotten.
    pub fn join(self: &Arc<Self>, prefix: Bytes, from: Revision) -> Result<Watch, Error> {
        let watch = self
            .hub
            .join(prefix.clone(), || self.ring().after(&prefix, from))?;
        Ok(Watch::new(Follower::new(watch, self.clone())))
    }

    pub fn forget(&self, before: Revision) {
        self.ring().forget(before);
    }

    pub fn close(&self) {
        self.hub.close();
        self.published.notify_waiters();
    }

    /// Follows etcd for ever.
    pub async fn follow(self: Arc<Self>, servers: Arc<Servers>, root: Root) {
        let mut tries = 0;
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.published();
            match self.follow_once(&servers, tries, &root).await {
                End::Forgotten(oldest) => self.interrupt(oldest),
                End::Broken(reason) => {
                    tracing::debug!(reason, "go on watching the datastore");
                    tries += 1;
                }
            }
            if self.published() > before {
                (tries, pause) = (tries.min(1), FIRST_PAUSE);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn follow_once(&self, servers: &Servers, tries: usize, root: &Root) -> End {
        let from = self.published().next();
        let mut stream = match begin(servers, tries, root, from).await {
            Ok(stream) => stream,
            Err(reason) => return End::Broken(reason),
        };
        let mut batch = Batch::default();
        loop {
            let response = match stream.message().await {
                Ok(Some(response)) => response,
                Ok(None) => return End::Broken("the server ended the watch".into()),
                Err(error) => return End::Broken(error.to_string()),
            };
            if let Err(end) = self.take(response, root, &mut batch) {
                return end;
            }
        }
    }

    fn take(&self, response: WatchResponse, root: &Root, batch: &mut Batch) -> Result<(), End> {
        if response.canceled() {
            return Err(match response.compact_revision() {
                0 => End::Broken(response.cancel_reason().to_owned()),
                oldest => End::Forgotten(root.revision(oldest)),
            });
        }
        if response.created() {
            self.has_begun.store(true, Ordering::Release);
            self.published.notify_waiters();
        }
        if response.0.events.is_empty() {
            // Nothing happened up to here; not so in the answer to the request
            // to watch, which says only where etcd is.
            if !response.created() && batch.is_empty() {
                let at = response.header().map_or(0, ResponseHeader::revision);
                self.hub.advance(root.revision(at));
                self.published.notify_waiters();
            }
            return Ok(());
        }
        let is_whole = !response.0.fragment;
        let taken = batch.take(response.0.events, root);
        let changes = batch.ready(is_whole);
        self.publish(changes);
        taken.map_err(|Lost(at)| End::Forgotten(at))
    }

    fn publish(&self, changes: Vec<Arc<Change>>) {
        // The order is the proof: a watcher that joins in between finds the
        // changes in the ring, and the hub does not hand them to it again.
        self.ring().push(&changes);
        self.hub.publish(&changes);
        self.published.notify_waiters();
    }

    fn interrupt(&self, oldest: Revision) {
        // A start that reaches back too far disturbs nobody.
        if self.is_serving.load(Ordering::Acquire) {
            tracing::warn!(%oldest, "the datastore has forgotten changes that were not read yet: watches begin anew");
        }
        self.hub.interrupt(oldest, || self.ring().reset(oldest));
        self.published.notify_waiters();
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Each step under the lock leaves the ring whole.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn begin(
    servers: &Servers,
    tries: usize,
    root: &Root,
    from: Revision,
) -> Result<WatchStream, String> {
    let (first, end) = root.under(b"").expect("the root is a prefix of itself");
    let from = root.origin().etcds(from);
    let from = from.map_err(|error| error.to_string())?;
    let options = WatchOptions::new()
        .with_range(end)
        .with_start_revision(from)
        .with_prev_key()
        .with_progress_notify()
        .with_fragment();
    let mut watcher = servers.watcher(tries);
    match timeout(BEGIN, watcher.watch(first, Some(options))).await {
        Ok(begun) => begun.map_err(|error| error.to_string()),
        Err(_) => Err("the server did not begin the watch in time".into()),
    }
}
