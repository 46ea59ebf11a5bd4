//! Parts of the store kept in memory by watching it, for what every request asks.
//!
//! A mirror trails the store by the time a change takes to travel, never more:
//! whoever needs certainty falls back to the store on a miss.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;
use store::{Change, Entry, Range, Revision, Signal, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::keys;

/// Pause before the store is read again after a watch broke.
const RETRY: Duration = Duration::from_millis(200);

/// What is told of the objects of one kind.
pub trait Follower: Send + Sync {
    /// `key` is `<namespace>/<name>`, or `<name>` in the whole cluster.
    fn put(&self, key: &str, object: &[u8]);
    fn delete(&self, key: &str);
    /// Everything follows anew.
    fn clear(&self);
}

/// Where mirrors come from: one store, and the tasks that follow it.
#[derive(Clone)]
pub struct Source {
    pub store: Arc<dyn Store>,
    pub tasks: TaskTracker,
    pub stop: CancellationToken,
}

impl Source {
    /// Loads everything under the kind's prefix, then follows it until `stop`.
    pub async fn follow(
        &self,
        prefix: &str,
        follower: Arc<dyn Follower>,
    ) -> Result<(), store::Error> {
        let prefix = keys::kind(prefix);
        let from = load(&*self.store, &prefix, &*follower).await?;
        let (store, stop) = (self.store.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = keep_following(store, prefix, from, follower) => {}
            }
        });
        Ok(())
    }

    pub async fn mirror(&self, prefix: &str) -> Result<Arc<Mirror>, store::Error> {
        let mirror = Arc::new(Mirror::default());
        self.follow(prefix, mirror.clone()).await?;
        Ok(mirror)
    }
}

async fn load(
    store: &dyn Store,
    prefix: &[u8],
    follower: &dyn Follower,
) -> Result<Revision, store::Error> {
    let page = store.range(Range::prefix(prefix)).await?;
    follower.clear();
    for entry in &page.entries {
        put(prefix, entry, follower);
    }
    Ok(page.revision)
}

async fn keep_following(
    store: Arc<dyn Store>,
    prefix: Vec<u8>,
    mut from: Revision,
    follower: Arc<dyn Follower>,
) {
    loop {
        match follow_once(&*store, &prefix, from, &*follower).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "a mirror reads the store again"),
        }
        tokio::time::sleep(RETRY).await;
        match load(&*store, &prefix, &*follower).await {
            Ok(revision) => from = revision,
            Err(error) => tracing::warn!(%error, "a mirror cannot read the store"),
        }
    }
}

/// Ends well only when the store was closed.
async fn follow_once(
    store: &dyn Store,
    prefix: &[u8],
    from: Revision,
    follower: &dyn Follower,
) -> Result<(), store::Error> {
    let mut watch = store.watch(prefix, from).await?;
    while let Some(signal) = watch.next().await {
        match signal? {
            Signal::Change(change) => match &*change {
                Change::Put { entry, .. } => put(prefix, entry, follower),
                Change::Delete { key, .. } => {
                    if let Some(key) = name_in(prefix, key) {
                        follower.delete(key);
                    }
                }
            },
            Signal::Progress(_) => {}
        }
    }
    Ok(())
}

fn put(prefix: &[u8], entry: &Entry, follower: &dyn Follower) {
    let Some(key) = name_in(prefix, &entry.key) else {
        return;
    };
    follower.put(key, &entry.value);
}

fn name_in<'a>(prefix: &[u8], key: &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(key.strip_prefix(prefix)?).ok()
}

/// A stored object; one that is no JSON is told and passed over.
pub fn parse(key: &str, object: &[u8]) -> Option<Value> {
    serde_json::from_slice(object)
        .inspect_err(|error| tracing::warn!(key, %error, "an object in the store is no JSON"))
        .ok()
}

/// All objects of one kind, parsed.
#[derive(Default)]
pub struct Mirror {
    objects: RwLock<BTreeMap<String, Arc<Value>>>,
}

impl Mirror {
    pub fn get(&self, key: &str) -> Option<Arc<Value>> {
        self.read().get(key).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Value>> {
        self.read().values().cloned().collect()
    }

    /// The objects of one namespace, in the order of their names.
    pub fn of(&self, namespace: &str) -> Vec<Arc<Value>> {
        let start = format!("{namespace}/");
        let objects = self.read();
        let from = objects.range(start.clone()..);
        from.take_while(|(key, _)| key.starts_with(&start))
            .map(|(_, object)| object.clone())
            .collect()
    }

    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Value>>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Value>>> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower for Mirror {
    fn put(&self, key: &str, object: &[u8]) {
        if let Some(object) = parse(key, object) {
            self.write().insert(key.to_owned(), Arc::new(object));
        }
    }

    fn delete(&self, key: &str) {
        self.write().remove(key);
    }

    fn clear(&self) {
        self.write().clear();
    }
}
