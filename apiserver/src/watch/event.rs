//! One change as one watch event.

use apimachinery::Status;
use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use serde_json::json;
use store::{Change, Entry, Revision};

use crate::negotiate::{Form, Shape};
use crate::query::Query;
use crate::registry::select::Selector;
use crate::registry::versions;
use crate::served::Served;
use crate::table::{self, Include};

const ADDED: &str = "ADDED";
const MODIFIED: &str = "MODIFIED";
const DELETED: &str = "DELETED";
const BOOKMARK: &str = "BOOKMARK";

/// Turns changes into events of the form that one watcher asked for.
pub struct Shaper {
    kind: Served,
    selector: Selector,
    form: Form,
    include: Include,
}

impl Shaper {
    pub fn new(kind: Served, selector: Selector, form: Form, query: &Query) -> Self {
        Self {
            kind,
            selector,
            form,
            include: Include::read(query),
        }
    }

    /// An object that was there when the watch began.
    pub fn initial(&self, entry: &Entry) -> Option<Bytes> {
        if !self.selector.matches(&entry.value) {
            return None;
        }
        self.event(ADDED, versions::bytes(&self.kind, entry).ok()?)
    }

    /// None when the watcher does not see the change.
    pub fn change(&self, change: &Change) -> Option<Bytes> {
        let previous = change.previous();
        let was = previous.is_some_and(|entry| self.selector.matches(&entry.value));
        match change {
            Change::Put { entry, .. } => match (was, self.selector.matches(&entry.value)) {
                (false, true) => self.event(ADDED, versions::bytes(&self.kind, entry).ok()?),
                (true, true) => self.event(MODIFIED, versions::bytes(&self.kind, entry).ok()?),
                // The last state that matched, at the revision it left.
                (true, false) => self.gone(previous?, entry.modified),
                (false, false) => None,
            },
            Change::Delete {
                revision, previous, ..
            } if was => self.gone(previous, *revision),
            Change::Delete { .. } => None,
        }
    }

    fn gone(&self, last: &Entry, revision: Revision) -> Option<Bytes> {
        self.event(DELETED, versions::deleted(&self.kind, last, revision).ok()?)
    }

    fn event(&self, what: &str, object: Bytes) -> Option<Bytes> {
        let shaped = match self.form.shape {
            Shape::Object => object,
            Shape::Metadata => table::partial_metadata(&object),
            Shape::Table => {
                table::of_one(&self.kind, &object, self.include, Timestamp::now()).ok()?
            }
        };
        Some(wrap(what, &shaped))
    }

    /// Tells the watcher that it has seen everything up to `revision`.
    pub fn bookmark(&self, revision: Revision, ends_initial: bool) -> Bytes {
        let mut metadata =
            json!({ "resourceVersion": revision.to_string(), "creationTimestamp": null });
        if ends_initial {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let (kind, version) = match self.form.shape {
            Shape::Metadata => ("PartialObjectMetadata".into(), "meta.k8s.io/v1".into()),
            Shape::Object | Shape::Table => (self.kind.kind().to_owned(), self.kind.api_version()),
        };
        let object = json!({ "kind": kind, "apiVersion": version, "metadata": metadata });
        wrap(BOOKMARK, object.to_string().as_bytes())
    }
}

/// The event that ends a broken watch.
pub fn error(status: &Status) -> Bytes {
    wrap("ERROR", &status.to_bytes())
}

fn wrap(what: &str, object: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(object.len() + 40);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(what.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
    out.freeze()
}
