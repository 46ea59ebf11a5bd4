//! One change as one watch event.

use apimachinery::Status;
use bytes::{BufMut, Bytes, BytesMut};
use jiff::Timestamp;
use serde_json::json;
use store::{Change, Entry, Revision};

use crate::negotiate::{Encoding, Form, Shape};
use crate::packed;
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

    pub fn kind(&self) -> &Served {
        &self.kind
    }

    /// Appends an object that was there when the watch began.
    pub fn initial(&self, entry: &Entry, out: &mut BytesMut) {
        if self.selector.matches(&entry.value) {
            self.stored(ADDED, entry, out);
        }
    }

    /// Appends the change, if the watcher sees it.
    pub fn change(&self, change: &Change, out: &mut BytesMut) {
        let previous = change.previous();
        let was = previous.filter(|entry| self.selector.matches(&entry.value));
        match change {
            Change::Put { entry, .. } => match (was, self.selector.matches(&entry.value)) {
                (None, true) => self.stored(ADDED, entry, out),
                (Some(_), true) => self.stored(MODIFIED, entry, out),
                // The last state that matched, at the revision it left.
                (Some(last), false) => self.gone(last, entry.modified, out),
                (None, false) => {}
            },
            Change::Delete { revision, .. } => {
                if let Some(last) = was {
                    self.gone(last, *revision, out);
                }
            }
        }
    }

    fn stored(&self, what: &str, entry: &Entry, out: &mut BytesMut) {
        if let Ok(object) = versions::bytes(&self.kind, entry) {
            self.event(what, &object, out);
        }
    }

    fn gone(&self, last: &Entry, revision: Revision, out: &mut BytesMut) {
        if let Ok(object) = versions::deleted(&self.kind, last, revision) {
            self.event(DELETED, &object, out);
        }
    }

    fn event(&self, what: &str, object: &Bytes, out: &mut BytesMut) {
        match self.form.shape {
            Shape::Object => self.wrap(what, object, out),
            Shape::Metadata => self.wrap(what, &table::partial_metadata(object), out),
            Shape::Table => {
                let table = table::of_one(&self.kind, object, self.include, Timestamp::now());
                if let Ok(table) = table {
                    self.wrap(what, &table, out);
                }
            }
        }
    }

    /// Tells the watcher that it has seen everything up to `revision`.
    pub fn bookmark(&self, revision: Revision, ends_initial: bool, out: &mut BytesMut) {
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
        self.wrap(BOOKMARK, &object.to_string().into(), out);
    }

    /// Appends the event that ends a broken watch.
    pub fn error(&self, status: &Status, out: &mut BytesMut) {
        self.wrap("ERROR", &status.to_bytes().into(), out);
    }

    fn wrap(&self, what: &str, object: &Bytes, out: &mut BytesMut) {
        match self.form.encoding {
            Encoding::Protobuf => packed::frame(what, object, out),
            Encoding::Json | Encoding::Yaml => wrap(what, object, out),
        }
    }
}

fn wrap(what: &str, object: &[u8], out: &mut BytesMut) {
    out.reserve(object.len() + 40);
    out.put_slice(b"{\"type\":\"");
    out.put_slice(what.as_bytes());
    out.put_slice(b"\",\"object\":");
    out.put_slice(object);
    out.put_slice(b"}\n");
}
