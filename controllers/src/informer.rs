//! All objects of one kind in memory, kept so by list and watch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use follow::Event;
use futures::StreamExt;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::key::Key;
use crate::owner;

/// What may be kept in an [`Informer`].
pub trait Object:
    Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static
{
}

/// Told of each change: what was, what is.
type Handler<K> = Box<dyn Fn(Option<&K>, Option<&K>) + Send + Sync>;

/// The objects of one kind, and who wants to hear of their changes.
pub struct Informer<K: Object> {
    state: RwLock<State<K>>,
    handlers: RwLock<Vec<Handler<K>>>,
    /// Which of the kind's objects are kept.
    fields: String,
    is_synced: watch::Sender<bool>,
}

struct State<K> {
    objects: BTreeMap<Key, Arc<K>>,
    /// Keys by the uid of the controller that owns them.
    owned: Index,
    /// Keys of those that no controller owns, by namespace.
    orphans: Index,
    /// The newest revision the watch has brought. An answer to a write that is
    /// no newer than this, of an object we do not have, is of an object that
    /// was deleted since.
    seen: u64,
    listing: BTreeSet<Key>,
}

type Index = HashMap<Box<str>, BTreeSet<Key>>;

impl<K: Object> Informer<K> {
    /// Of all objects of the kind.
    pub fn new() -> Arc<Self> {
        Self::of("")
    }

    /// Of the objects that the field selector selects.
    pub fn selecting(fields: &str) -> Arc<Self> {
        Self::of(fields)
    }

    fn of(fields: &str) -> Arc<Self> {
        Arc::new(Self {
            state: RwLock::new(State {
                objects: BTreeMap::new(),
                owned: Index::new(),
                orphans: Index::new(),
                seen: 0,
                listing: BTreeSet::new(),
            }),
            handlers: RwLock::default(),
            fields: fields.to_owned(),
            is_synced: watch::Sender::new(false),
        })
    }

    /// Calls `handler` for every change from now on. It must only take note.
    pub fn on_change(&self, handler: impl Fn(Option<&K>, Option<&K>) + Send + Sync + 'static) {
        let mut handlers = self
            .handlers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        handlers.push(Box::new(handler));
    }

    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read().objects.get(key).cloned()
    }

    pub fn all(&self) -> Vec<Arc<K>> {
        self.read().objects.values().cloned().collect()
    }

    /// Whether there is such an object; stops at the first.
    pub fn any(&self, is_meant: impl Fn(&K) -> bool) -> bool {
        let state = self.read();
        let mut objects = state.objects.values();
        objects.any(|object| is_meant(object))
    }

    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.read();
        if state.objects.is_empty() {
            return Vec::new();
        }
        let from = Key::new(namespace, "");
        let range = state
            .objects
            .range((Bound::Included(from), Bound::Unbounded));
        range
            .take_while(|(key, _)| &*key.namespace == namespace)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// The objects whose controller is the object with this uid.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        let state = self.read();
        state.indexed(state.owned.get(uid))
    }

    /// The objects in `namespace` that have no controller.
    pub fn orphans(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.read();
        state.indexed(state.orphans.get(namespace))
    }

    /// Waits until everything has been listed once.
    pub async fn synced(&self) {
        let mut synced = self.is_synced.subscribe();
        // The sender lives as long as self.
        let _ = synced.wait_for(|is_synced| *is_synced).await;
    }

    pub fn is_synced(&self) -> bool {
        *self.is_synced.borrow()
    }

    /// Takes over the answer to a write of our own, if it is news.
    pub fn note(&self, object: K) {
        let object = Arc::new(object);
        let key = Key::of(&*object);
        let revision = revision(&*object);
        let old = {
            let mut state = self.write();
            let known = state.objects.get(&key).map(|o| self::revision(&**o));
            let is_news = match known {
                Some(known) => revision > known,
                None => revision > state.seen,
            };
            if !is_news {
                return;
            }
            state.put(key, object.clone())
        };
        self.tell(old.as_deref(), Some(&*object));
    }

    /// Takes over the end of an object that we deleted ourselves.
    pub fn forget(&self, key: &Key) {
        self.remove(key);
    }

    /// Lists and watches until `shutdown`.
    pub async fn run(self: Arc<Self>, client: Client, shutdown: CancellationToken) {
        let events = follow::objects(Api::<K>::all(client), &self.fields);
        let taking = events.for_each(|event| {
            self.hear(event);
            std::future::ready(())
        });
        shutdown.run_until_cancelled(taking).await;
    }

    fn hear(&self, event: Result<Event<K>, follow::Error>) {
        match event {
            Ok(event) => self.take(event),
            Err(error) => {
                let kind = K::kind(&());
                tracing::debug!(%kind, error = &error as &dyn std::error::Error, "watch broke");
            }
        }
    }

    /// Applies one event of the watch.
    pub fn take(&self, event: Event<K>) {
        match event {
            Event::Init => self.write().listing.clear(),
            Event::InitApply(object) => {
                self.write().listing.insert(Key::of(&object));
                self.put(object);
            }
            Event::InitDone { version } => {
                self.drop_unlisted(version.parse().unwrap_or(0));
                self.is_synced.send_replace(true);
            }
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => self.end(&Key::of(&object), revision(&object)),
        }
    }

    fn put(&self, mut object: K) {
        object.meta_mut().managed_fields = None;
        let object = Arc::new(object);
        let (key, revision) = (Key::of(&*object), revision(&*object));
        let old = {
            let mut state = self.write();
            state.see(revision);
            let known = state.objects.get(&key).map(|o| self::revision(&**o));
            if known.is_some_and(|known| known >= revision) {
                return;
            }
            state.put(key, object.clone())
        };
        self.tell(old.as_deref(), Some(&object));
    }

    /// The object ended at this revision; one with its name that is newer did not.
    fn end(&self, key: &Key, at: u64) {
        let old = {
            let mut state = self.write();
            state.see(at);
            let known = state.objects.get(key).map(|object| revision(&**object));
            known
                .filter(|known| *known <= at)
                .and_then(|_| state.remove(key))
        };
        if let Some(old) = old {
            self.tell(Some(&old), None);
        }
    }

    fn remove(&self, key: &Key) {
        let old = self.write().remove(key);
        if let Some(old) = old {
            self.tell(Some(&old), None);
        }
    }

    /// What was not listed is gone, unless it is newer than the list: then an
    /// answer to a write brought it.
    fn drop_unlisted(&self, listed_at: u64) {
        let gone: Vec<Key> = {
            let mut state = self.write();
            // Answers to writes that come from now on and are older than the list
            // are of what the list would have.
            state.see(listed_at);
            let listed = std::mem::take(&mut state.listing);
            let unlisted = state.objects.keys().filter(|key| !listed.contains(*key));
            unlisted.cloned().collect()
        };
        for key in gone {
            self.end(&key, listed_at);
        }
    }

    fn tell(&self, old: Option<&K>, new: Option<&K>) {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        for handler in handlers.iter() {
            handler(old, new);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<K>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource> State<K> {
    fn see(&mut self, revision: u64) {
        self.seen = self.seen.max(revision);
    }

    fn indexed(&self, keys: Option<&BTreeSet<Key>>) -> Vec<Arc<K>> {
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| self.objects.get(key).cloned())
            .collect()
    }

    fn put(&mut self, key: Key, object: Arc<K>) -> Option<Arc<K>> {
        let old = self.objects.insert(key.clone(), object.clone());
        if let Some(old) = &old {
            if place(&**old) == place(&*object) {
                return Some(old.clone());
            }
            self.unindex(&key, old);
        }
        let (index, name) = self.index(&object);
        match index.get_mut(name) {
            Some(keys) => drop(keys.insert(key)),
            None => drop(index.insert(name.into(), BTreeSet::from([key]))),
        }
        old
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<K>> {
        let old = self.objects.remove(key)?;
        self.unindex(key, &old);
        Some(old)
    }

    fn unindex(&mut self, key: &Key, old: &K) {
        let (index, name) = self.index(old);
        if let Some(keys) = index.get_mut(name) {
            keys.remove(key);
            if keys.is_empty() {
                index.remove(name);
            }
        }
    }

    /// The index that the object is in, and its name there.
    fn index<'k>(&mut self, object: &'k K) -> (&mut Index, &'k str) {
        match place(object) {
            Place::Owned(uid) => (&mut self.owned, uid),
            Place::Orphan(namespace) => (&mut self.orphans, namespace),
        }
    }
}

#[derive(PartialEq)]
enum Place<'k> {
    /// By the controller with this uid.
    Owned(&'k str),
    /// In this namespace.
    Orphan(&'k str),
}

fn place<K: Resource>(object: &K) -> Place<'_> {
    match owner::controller(object.meta()) {
        Some(owner) => Place::Owned(&owner.uid),
        None => Place::Orphan(object.meta().namespace.as_deref().unwrap_or_default()),
    }
}

/// The object's revision; resource versions may be compared (KEP-5504).
fn revision<K: Resource>(object: &K) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
