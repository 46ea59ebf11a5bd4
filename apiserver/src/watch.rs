//! WATCH: what changes, as it changes.
//!
//! An event is the stored bytes between two constant pieces; nothing is encoded
//! again. A selector turns changes into ADDED and DELETED as objects come to
//! match and cease to.

mod event;
mod feed;
pub mod pace;

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use bytes::BytesMut;
use futures::stream;
use http::{HeaderValue, Response, StatusCode};
use rand::RngExt;
use store::{Range, Revision};

use crate::api::Api;
use crate::body::Body;
use crate::keys;
use crate::negotiate::{Encoding, Form};
use crate::packed;
use crate::registry::get::parse_revision;
use crate::registry::list::read_number;
use crate::registry::select::Selector;
use crate::registry::{Registry, store_failure};
use crate::respond;
use event::Shaper;
use feed::{Feed, Initial};

/// A watch without `timeoutSeconds` ends after this, up to twice of it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Longer is for ever, and no clock goes on for all that may be asked for.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Registry<'_> {
    /// Opens a watch of all objects, or of the one with this name, and answers with
    /// its stream.
    pub async fn watch(
        &self,
        api: &Arc<Api>,
        name: Option<&str>,
        form: Form,
    ) -> Result<Response<Body>, Status> {
        let query = &self.call.query;
        let mut selector = Selector::read(self.kind, query)?;
        if let Some(name) = name {
            selector = selector.named(name)?;
        }
        let timeout = read_number(query, "timeoutSeconds")?.filter(|n| *n > 0);
        let timeout = timeout.map_or_else(default_timeout, |n| {
            Duration::from_secs(n.unsigned_abs()).min(LONGEST_TIMEOUT)
        });
        let namespace = self
            .namespace
            .or_else(|| selector.namespace().filter(|_| self.kind.is_namespaced()));
        let prefix = match selector.name() {
            Some(name) if namespace.is_some() || !self.kind.is_namespaced() => {
                keys::object(self.prefix, namespace, name)
            }
            _ => keys::collection(self.prefix, namespace),
        };
        let form = form.of_kind(self.kind)?;
        let shaper = Shaper::new(self.kind.clone(), selector, form, query);
        let content_type = match form.encoding {
            Encoding::Protobuf => packed::WATCH,
            Encoding::Json | Encoding::Yaml => respond::JSON,
        };
        let (initial, from) = self.start(&prefix).await?;
        let watch = match api.store.watch(&prefix, from).await {
            Ok(watch) => watch,
            Err(gone @ store::Error::Compacted { .. }) => {
                return Ok(ended(&shaper, &too_old(gone), content_type));
            }
            Err(error) => return Err(store_failure(error)),
        };
        let mut feed = Feed::new(watch, shaper, initial, from, timeout, api);
        if self.kind.is_custom() {
            feed = feed.with_converter(api.clone());
        }
        if query.flag("allowWatchBookmarks") {
            feed = feed.with_bookmarks();
        }
        Ok(respond::with(
            StatusCode::OK,
            content_type,
            Body::stream(feed),
        ))
    }

    /// What the watch begins with, and the revision after which changes follow.
    async fn start(&self, prefix: &[u8]) -> Result<(Option<Initial>, Revision), Status> {
        let query = &self.call.query;
        let given = query
            .text("resourceVersion")
            .map(parse_revision)
            .transpose()?;
        let send_initial = query
            .get("sendInitialEvents")
            .map(|_| query.flag("sendInitialEvents"));
        match (given.unwrap_or(0), send_initial) {
            (0, Some(false)) => {
                let newest = self.api.store.newest().await;
                return Ok((None, newest.map_err(store_failure)?));
            }
            (0, _) | (_, Some(true)) => {}
            (revision, _) => return Ok((None, Revision(revision))),
        }
        let page = self.api.store.range(Range::prefix(prefix)).await;
        let page = page.map_err(store_failure)?;
        let entries = self.api.all_as_served(self.kind, page.entries).await?;
        let initial = Initial {
            entries: entries.into_iter(),
            is_marked: send_initial == Some(true) && query.flag("allowWatchBookmarks"),
        };
        Ok((Some(initial), page.revision))
    }
}

/// A watch that only says why it ends. As in Kubernetes, what a watch meets once it
/// was understood is told by an event: clients list again after that, while
/// many only try again after an answer that is an error.
fn ended(shaper: &Shaper, why: &Status, content_type: HeaderValue) -> Response<Body> {
    let mut event = BytesMut::new();
    shaper.error(why, &mut event);
    let body = Body::stream(stream::iter([Ok(event.freeze())]));
    respond::with(StatusCode::OK, content_type, body)
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
