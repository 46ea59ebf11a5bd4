//! The store with its chosen values sealed.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use store::{
    Change, Entry, Expect, Page, Range, Revision, Signal, Source, State, Store, Value, Watch,
};

use crate::config::Config;
use crate::opened::Recent;
use crate::rules::{Resource, Rules};
use crate::seal::{MARK, Opened, Providers, with_revision};
use crate::{Error, error::OpenError};

/// A [`Store`] over another: what is read is plain, what is kept is sealed.
pub struct Layer {
    inner: Arc<dyn Store>,
    resources: Vec<Resource>,
    rules: Arc<InForce>,
    recent: Arc<Recent>,
    /// The rules stay as they are: what they leave alone needs no look.
    is_fixed: bool,
}

/// The rules; what is under way goes on by those that it began with.
struct InForce(RwLock<Arc<Rules>>);

impl InForce {
    fn get(&self) -> Arc<Rules> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Layer {
    /// `resources` says where the built-in kinds lie; custom ones lie below
    /// `/registry/<group>/<plural>/`.
    pub fn new(inner: Arc<dyn Store>, config: Config, resources: &[Resource]) -> Self {
        let rules = Rules::new(config, resources);
        Self {
            inner,
            resources: resources.to_vec(),
            rules: Arc::new(InForce(RwLock::new(Arc::new(rules)))),
            recent: Arc::default(),
            is_fixed: true,
        }
    }

    /// One whose configuration can be replaced.
    pub fn replaceable(inner: Arc<dyn Store>, config: Config, resources: &[Resource]) -> Self {
        Self {
            is_fixed: false,
            ..Self::new(inner, config, resources)
        }
    }

    /// From now on `config` holds, for watches that are open too.
    pub fn replace(&self, config: Config) {
        debug_assert!(!self.is_fixed, "its watches do not look at the rules");
        let rules = Arc::new(Rules::new(config, &self.resources));
        *self.rules.0.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.get()
    }
}

/// Refuses a store that holds sealed values below `prefixes`, for a start
/// without a configuration: they would be served as they are.
///
/// # Errors
/// [`Error::NotConfigured`] names the first sealed key.
pub async fn refuse_sealed(store: &dyn Store, prefixes: &[&str]) -> Result<(), Error> {
    for prefix in prefixes {
        let range = Range::prefix(format!("/registry/{prefix}/"));
        let page = store.range(range).await;
        let page = page.map_err(|source| Error::Store { source })?;
        if let Some(entry) = page.entries.iter().find(|e| e.value.starts_with(MARK)) {
            return Err(Error::NotConfigured {
                key: text(&entry.key),
            });
        }
    }
    Ok(())
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn failed(key: &[u8], source: OpenError) -> store::Error {
    store::Error::Unreadable {
        key: text(key),
        source: Box::new(source),
    }
}

fn open(providers: &Providers, entry: &Entry) -> Result<Opened, store::Error> {
    providers
        .open(&entry.key, &entry.value, entry.modified)
        .map_err(|source| failed(&entry.key, source))
}

/// The same for values whose resource has no providers: there is none to open
/// what was sealed when it still had.
fn check_plain(entry: &Entry) -> Result<(), store::Error> {
    if !entry.value.starts_with(MARK) {
        return Ok(());
    }
    let none = Providers::new(Vec::new());
    open(&none, entry).map(|_| ())
}

impl Rules {
    fn opened(&self, mut entry: Entry) -> Result<Entry, store::Error> {
        match self.of(&entry.key) {
            Some(providers) => entry.value = open(providers, &entry)?.bytes,
            None => check_plain(&entry)?,
        }
        Ok(entry)
    }

    fn opened_change(&self, change: &Change) -> Result<Change, store::Error> {
        Ok(match change {
            Change::Put { entry, previous } => Change::Put {
                entry: self.opened(entry.clone())?,
                // What was there before may be of a key that is long gone: it
                // must not keep anybody from seeing what is there now.
                previous: previous.clone().and_then(|p| self.opened(p).ok()),
            },
            Change::Delete {
                key,
                revision,
                previous,
            } => Change::Delete {
                key: key.clone(),
                revision: *revision,
                previous: self.opened(previous.clone())?,
            },
        })
    }

    /// Errors carry entries too.
    fn opened_error(&self, error: store::Error) -> store::Error {
        match error {
            store::Error::Conflict {
                current: Some(entry),
            } => match self.opened(entry) {
                Ok(entry) => store::Error::Conflict {
                    current: Some(entry),
                },
                Err(error) => error,
            },
            other => other,
        }
    }
}

/// A watch whose changes are opened on the way.
struct Opening {
    inner: Watch,
    rules: Arc<InForce>,
    recent: Arc<Recent>,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Opening").field(&self.inner).finish()
    }
}

#[async_trait]
impl Source for Opening {
    async fn next(&mut self) -> Option<Result<Signal, store::Error>> {
        match self.inner.next().await? {
            Ok(Signal::Change(change)) => Some(self.open(change).map(Signal::Change)),
            other => Some(other),
        }
    }

    fn request_progress(&mut self) {
        self.inner.request_progress();
    }
}

impl Opening {
    fn open(&self, change: Arc<Change>) -> Result<Arc<Change>, store::Error> {
        let rules = self.rules.get();
        if rules.of(change.key()).is_none() {
            return match &*change {
                Change::Put { entry, .. } => check_plain(entry).map(|()| change),
                Change::Delete { .. } => Ok(change),
            };
        }
        if let Some(known) = self.recent.get(change.revision()) {
            return Ok(known);
        }
        let opened = Arc::new(rules.opened_change(&change)?);
        self.recent.add(&opened);
        Ok(opened)
    }
}

/// What the store answers to a write of `value` at `revision`.
fn as_written(value: &Value, revision: Revision) -> Bytes {
    match value.revision_at {
        Some(at) => with_revision(&value.bytes, at, revision),
        None => value.bytes.clone(),
    }
}

#[async_trait]
impl Store for Layer {
    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    async fn newest(&self) -> Result<Revision, store::Error> {
        self.inner.newest().await
    }

    fn oldest(&self) -> Revision {
        self.inner.oldest()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, store::Error> {
        let found = self.inner.get(key).await?;
        found.map(|entry| self.rules().opened(entry)).transpose()
    }

    async fn range(&self, range: Range) -> Result<Page, store::Error> {
        let mut page = self.inner.range(range).await?;
        let rules = self.rules();
        for entry in &mut page.entries {
            match rules.of(&entry.key) {
                Some(providers) => entry.value = open(providers, entry)?.bytes,
                None => check_plain(entry)?,
            }
        }
        Ok(page)
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, store::Error> {
        self.inner.count(prefix).await
    }

    async fn put(&self, key: &[u8], value: Value, expect: Expect) -> Result<Entry, store::Error> {
        let rules = self.rules();
        let providers = rules.of(key);
        if let Some(at) = value.revision_at.filter(|at| *at > value.bytes.len()) {
            let size = value.bytes.len();
            return Err(store::Error::BadHole { at, size });
        }
        let Some(sealed) = providers.and_then(|providers| providers.seal(key, &value)) else {
            let put = self.inner.put(key, value, expect).await;
            return put.map_err(|error| rules.opened_error(error));
        };
        let put = self.inner.put(key, Value::plain(sealed), expect).await;
        let mut entry = put.map_err(|error| rules.opened_error(error))?;
        entry.value = as_written(&value, entry.modified);
        Ok(entry)
    }

    async fn delete(&self, key: &[u8], expect: Expect) -> Result<(Entry, Revision), store::Error> {
        let rules = self.rules();
        // A delete that happened must not be told as an error.
        if rules.of(key).is_some()
            && let Some(entry) = self.inner.get(key).await?
        {
            rules.opened(entry)?;
        }
        let deleted = self.inner.delete(key, expect).await;
        let (entry, revision) = deleted.map_err(|error| rules.opened_error(error))?;
        Ok((rules.opened(entry)?, revision))
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, store::Error> {
        let inner = self.inner.watch(prefix, from).await?;
        if self.is_fixed && self.rules().leave_alone(prefix) {
            return Ok(inner);
        }
        Ok(Watch::new(Opening {
            inner,
            rules: self.rules.clone(),
            recent: self.recent.clone(),
        }))
    }

    async fn compact(&self, before: Revision) -> Result<(), store::Error> {
        self.inner.compact(before).await
    }

    async fn is_stale(&self, key: &[u8]) -> Result<bool, store::Error> {
        let rules = self.rules();
        let Some(providers) = rules.of(key) else {
            return Ok(false);
        };
        let Some(entry) = self.inner.get(key).await? else {
            return Ok(false);
        };
        Ok(open(providers, &entry)?.is_stale)
    }

    /// Sealed, as it is stored: a backup is no way around the keys.
    async fn backup(&self) -> Result<store::backup::Backup, store::Error> {
        self.inner.backup().await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn state(&self) -> Option<State> {
        self.inner.state()
    }
}

#[cfg(test)]
mod tests;
