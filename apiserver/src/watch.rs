//! WATCH: what changes, as it changes.
//!
//! An event is the stored bytes between two constant pieces; nothing is encoded
//! again. A selector turns changes into ADDED and DELETED as objects come to
//! match and cease to.

mod event;

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{Response, StatusCode};
use rand::RngExt;
use store::{Range, Revision, Signal, Watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::api::Api;
use crate::body::{Body, BoxError};
use crate::keys;
use crate::negotiate::Form;
use crate::registry::get::parse_revision;
use crate::registry::list::read_number;
use crate::registry::select::Selector;
use crate::registry::{Registry, store_failure};
use crate::respond;
use event::Shaper;

/// How often a watcher that allows it is told how far it is.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A watch without `timeoutSeconds` ends after this, up to twice of it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Events that are ready go out together up to this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// How a watch begins.
enum Start {
    /// With every object there is, then from `Revision` on.
    Everything(Vec<Bytes>, Revision),
    After(Revision),
}

impl Registry<'_> {
    /// Opens a watch and answers with its stream.
    pub async fn watch(&self, api: &Arc<Api>, form: Form) -> Result<Response<Body>, Status> {
        let query = &self.call.query;
        let selector = Selector::read(self.kind, query)?;
        let timeout = read_number(query, "timeoutSeconds")?.filter(|n| *n > 0);
        let timeout =
            timeout.map_or_else(default_timeout, |n| Duration::from_secs(n.unsigned_abs()));
        let namespace = self
            .namespace
            .or_else(|| selector.namespace().filter(|_| self.kind.is_namespaced()));
        let prefix = match selector.name() {
            Some(name) if namespace.is_some() || !self.kind.is_namespaced() => {
                keys::object(self.prefix, namespace, name)
            }
            _ => keys::collection(self.prefix, namespace),
        };
        let shaper = Shaper::new(self.kind.clone(), selector, form, query);
        let (first, from) = self.start(&prefix, &shaper).await?;
        let watch = api.store.watch(&prefix, from).await.map_err(too_old)?;
        let feed = Feed {
            watch,
            shaper,
            first,
            bookmarks: query.flag("allowWatchBookmarks").then(bookmark_timer),
            deadline: Instant::now() + timeout,
            stop: api.stop.clone(),
            at: from,
            is_over: false,
        };
        let pieces = stream::unfold(feed, |mut feed| async move {
            let piece = feed.next().await?;
            Some((Ok::<_, BoxError>(piece), feed))
        });
        Ok(respond::json(StatusCode::OK, Body::stream(pieces)))
    }

    /// The first events, and the revision after which the store's follow.
    async fn start(
        &self,
        prefix: &[u8],
        shaper: &Shaper,
    ) -> Result<(Option<Bytes>, Revision), Status> {
        let query = &self.call.query;
        let given = query
            .text("resourceVersion")
            .map(parse_revision)
            .transpose()?;
        let send_initial = query
            .get("sendInitialEvents")
            .map(|_| query.flag("sendInitialEvents"));
        let start = match (given.unwrap_or(0), send_initial) {
            (0, Some(false)) => Start::After(self.api.store.revision()),
            (0, _) | (_, Some(true)) => self.everything(prefix, shaper).await?,
            (revision, _) => Start::After(Revision(revision)),
        };
        match start {
            Start::After(revision) => Ok((None, revision)),
            Start::Everything(events, revision) => {
                let mut out = BytesMut::new();
                events.iter().for_each(|event| out.extend_from_slice(event));
                if send_initial == Some(true) && query.flag("allowWatchBookmarks") {
                    out.extend_from_slice(&shaper.bookmark(revision, true));
                }
                Ok((Some(out.freeze()), revision))
            }
        }
    }

    async fn everything(&self, prefix: &[u8], shaper: &Shaper) -> Result<Start, Status> {
        let page = self
            .api
            .store
            .range(Range::prefix(prefix))
            .await
            .map_err(store_failure)?;
        let events = page
            .entries
            .iter()
            .filter_map(|entry| shaper.initial(entry));
        Ok(Start::Everything(events.collect(), page.revision))
    }
}

/// A revision that is gone is told in the words reflectors look for.
fn too_old(error: store::Error) -> Status {
    match error {
        store::Error::Compacted { wanted, oldest } => {
            Status::expired(format!("too old resource version: {wanted} ({oldest})"))
        }
        error => store_failure(error),
    }
}

fn default_timeout() -> Duration {
    let spread: f64 = rand::rng().random_range(1.0..2.0);
    DEFAULT_TIMEOUT.mul_f64(spread)
}

fn bookmark_timer() -> Interval {
    let mut timer = tokio::time::interval_at(Instant::now() + BOOKMARK_EVERY, BOOKMARK_EVERY);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// One open watch.
struct Feed {
    watch: Watch,
    shaper: Shaper,
    first: Option<Bytes>,
    bookmarks: Option<Interval>,
    deadline: Instant,
    stop: tokio_util::sync::CancellationToken,
    /// The newest revision the client knows of.
    at: Revision,
    is_over: bool,
}

impl Feed {
    /// The next piece of the stream; None at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take().filter(|f| !f.is_empty()) {
            return Some(first);
        }
        while !self.is_over {
            let signal = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep_until(self.deadline) => return self.farewell(),
                () = tick(self.bookmarks.as_mut()) => {
                    self.watch.request_progress();
                    continue;
                }
                signal = self.watch.next() => signal?,
            };
            let mut out = BytesMut::new();
            self.take(signal, &mut out);
            self.take_ready(&mut out);
            if !out.is_empty() {
                return Some(out.freeze());
            }
        }
        None
    }

    /// What came in together goes out together.
    fn take_ready(&mut self, out: &mut BytesMut) {
        while out.len() < BATCH_BYTES && !self.is_over {
            match futures::FutureExt::now_or_never(self.watch.next()) {
                Some(Some(signal)) => self.take(signal, out),
                Some(None) => self.is_over = true,
                None => return,
            }
        }
    }

    fn take(&mut self, signal: Result<Signal, store::Error>, out: &mut BytesMut) {
        match signal {
            Ok(Signal::Change(change)) => {
                self.at = change.revision();
                if let Some(event) = self.shaper.change(&change) {
                    out.extend_from_slice(&event);
                }
            }
            Ok(Signal::Progress(revision)) => {
                self.at = revision;
                out.extend_from_slice(&self.shaper.bookmark(revision, false));
            }
            Err(error) => {
                self.is_over = true;
                out.extend_from_slice(&event::error(&too_old(error)));
            }
        }
    }

    /// A watch that is over in time ends with where it got to.
    fn farewell(&mut self) -> Option<Bytes> {
        self.is_over = true;
        self.bookmarks
            .is_some()
            .then(|| self.shaper.bookmark(self.at, false))
    }
}

async fn tick(timer: Option<&mut Interval>) {
    match timer {
        Some(timer) => {
            timer.tick().await;
        }
        None => std::future::pending().await,
    }
}
