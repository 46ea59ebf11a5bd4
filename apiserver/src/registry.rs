//! Objects in the store: the verbs of every stored kind.
//!
//! One way through for all kinds; what differs between them is in the table of
//! `kinds` and in admission. A handler reads bytes from the store and hands the
//! same bytes out; only writes and unusual forms parse them.

pub mod continue_token;
pub mod create;
pub mod decode;
pub mod delete;
pub mod delete_collection;
pub mod get;
pub mod list;
pub mod options;
pub mod patch;
pub mod pieces;
pub mod select;
pub mod update;
pub mod versions;

use apimachinery::{Status, status};
use store::Entry;

use crate::api::{Api, Call};
use crate::keys;
use crate::served::Served;

/// The objects of one kind in one namespace, asked for by one call.
#[derive(Clone, Copy)]
pub struct Registry<'a> {
    pub api: &'a Api,
    pub call: &'a Call,
    pub kind: &'a Served,
    pub prefix: &'a str,
    /// None: the kind is of the whole cluster, or all namespaces are meant.
    pub namespace: Option<&'a str>,
}

impl<'a> Registry<'a> {
    pub fn new(
        api: &'a Api,
        call: &'a Call,
        kind: &'a Served,
        namespace: Option<&'a str>,
    ) -> Result<Self, Status> {
        let prefix = kind.prefix().ok_or_else(Status::method_not_allowed)?;
        // A namespace is no object of itself.
        let namespace = namespace.filter(|_| kind.is_namespaced());
        Ok(Self {
            api,
            call,
            kind,
            prefix,
            namespace,
        })
    }

    pub fn resource(&self) -> status::Resource<'a> {
        self.kind.resource()
    }

    pub fn key(&self, name: &str) -> Vec<u8> {
        keys::object(self.prefix, self.namespace, name)
    }

    /// The object as the kind serves it.
    pub async fn find(&self, name: &str) -> Result<Option<Entry>, Status> {
        let found = self.api.store.get(&self.key(name)).await;
        match found.map_err(store_failure)? {
            Some(entry) if self.kind.is_custom() => {
                self.api.as_served(self.kind, entry).await.map(Some)
            }
            found => Ok(found),
        }
    }

    /// What was just stored, as the kind serves it.
    pub async fn written(&self, entry: Entry) -> Result<bytes::Bytes, Status> {
        let entry = self.api.as_served(self.kind, entry).await?;
        versions::bytes(self.kind, &entry)
    }

    /// Refuses a revision that nobody has written yet.
    pub async fn check_reached(&self, wanted: u64) -> Result<(), Status> {
        let store = &self.api.store;
        // Another server may have written what this one has not seen yet.
        if wanted <= store.revision().0 {
            return Ok(());
        }
        let newest = store.newest().await.map_err(store_failure)?.0;
        if wanted > newest {
            return Err(too_new(wanted, newest));
        }
        Ok(())
    }

    /// # Errors
    /// 404 when there is none of that name.
    pub async fn entry(&self, name: &str) -> Result<Entry, Status> {
        let found = self.find(name).await?;
        found.ok_or_else(|| Status::not_found(self.resource(), name))
    }
}

/// A store that fails is the server's fault, unless the object is too big or the
/// revision asked for is gone.
pub fn store_failure(error: store::Error) -> Status {
    match error {
        store::Error::TooLarge { what, size, limit } => Status::too_large(format!(
            "{what} of {size} bytes is over the limit of {limit} bytes"
        )),
        store::Error::Compacted { .. } => {
            Status::expired("The resourceVersion for the provided list is too old.")
        }
        store::Error::Slow { .. } => {
            Status::expired("too old resource version: the watch fell behind")
        }
        // The store raised an alarm once; not a line for each who is refused.
        error @ store::Error::Quota { .. } => Status::internal(error.to_string()),
        error @ store::Error::Unanswered { .. } => {
            tracing::warn!(error = %full(&error), "a write is in doubt");
            Status::timeout(error.to_string())
        }
        error @ store::Error::Unreachable { .. } => {
            tracing::warn!(error = %full(&error), "the store cannot be reached");
            Status::service_unavailable(error.to_string())
        }
        error @ store::Error::Deposed { .. } => Status::service_unavailable(error.to_string()),
        store::Error::Future { wanted, newest } => too_new(wanted.0, newest.0),
        error => {
            tracing::error!(error = %full(&error), "the store failed");
            Status::internal(full(&error))
        }
    }
}

fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Somebody asks for a revision that the store has not reached.
pub fn too_new(wanted: u64, current: u64) -> Status {
    let message = format!("Too large resource version: {wanted}, current: {current}");
    let mut status = Status::timeout(message);
    let mut details = status.details.take().unwrap_or_default();
    details.retry_after_seconds = 1;
    details.causes = vec![status::Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    }];
    status.details = Some(details);
    status
}
