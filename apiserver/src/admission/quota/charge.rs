//! Charges: what writes that are under way are going to use.
//!
//! A create, or a change that uses more, writes its charge first; then it reads the charges written before
//! its own, and counts what is stored; then it stores its object, and removes
//! its charge. Of two writes at once, on whichever servers, the later charge
//! finds the earlier one, or the object that it stood for: they cannot both take
//! the last room, and the earlier one never loses it to the later.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apimachinery::{Quantity, Status, random};
use serde::{Deserialize, Serialize};
use store::{Entry, Expect, Range, Revision, Store};
use tokio::time::Instant;

use super::Usage;
use crate::keys;
use crate::registry::store_failure;

const PREFIX: &str = "quotacharges";
/// A charge that is older was left by a server that died: no write takes so
/// long between its charge and its end.
const LIFE: Duration = Duration::from_secs(120);

/// A charge of this server's, to be settled when the write is over.
pub struct Charge {
    store: Arc<dyn Store>,
    key: Vec<u8>,
    revision: Revision,
}

/// What a charge says.
#[derive(Serialize, Deserialize)]
pub struct Use {
    /// The key of the object that is going to be.
    object: String,
    /// The revision of the object that is changed; none where it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<u64>,
    /// By the name of the quota, what of it.
    used: BTreeMap<String, BTreeMap<String, String>>,
}

/// Since when this server has known of the charges that others have made.
#[derive(Default)]
pub struct Charges {
    seen: Mutex<HashMap<Vec<u8>, Instant>>,
}

impl Use {
    pub fn new(object: &[u8], changes: Option<Revision>) -> Self {
        Self {
            object: String::from_utf8_lossy(object).into_owned(),
            changes: changes.map(|revision| revision.0),
            used: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, quota: &str, usage: &Usage) {
        let texts = usage.iter().map(|(name, n)| (name.clone(), n.to_string()));
        self.used.insert(quota.to_owned(), texts.collect());
    }

    pub fn is_for(&self, object: &[u8]) -> bool {
        self.object.as_bytes() == object
    }

    /// Whether what is stored shows it already, or shows that it will not be: who
    /// changed the object was quicker.
    pub fn is_over(&self, stored: &[Entry]) -> bool {
        let mut stored = stored.iter();
        let object = stored.find(|entry| self.is_for(&entry.key));
        object.map(|entry| entry.modified.0) != self.changes
    }

    /// What of one quota.
    pub fn of(&self, quota: &str) -> Usage {
        let used = self.used.get(quota).into_iter().flatten();
        used.filter_map(|(name, text)| Some((name.clone(), text.parse::<Quantity>().ok()?)))
            .collect()
    }
}

impl Charge {
    pub async fn write(
        store: &Arc<dyn Store>,
        namespace: &str,
        charged: &Use,
    ) -> Result<Self, Status> {
        let key = keys::object(PREFIX, Some(namespace), &random::uid());
        let words = serde_json::to_vec(charged).map_err(Status::internal)?;
        let put = store.put(&key, store::Value::plain(words), Expect::Absent);
        let entry = put.await.map_err(store_failure)?;
        Ok(Self {
            store: store.clone(),
            key,
            revision: entry.modified,
        })
    }

    /// That it fails is no harm: the charge grows old.
    pub async fn settle(self) {
        let removed = self
            .store
            .delete(&self.key, Expect::At(self.revision))
            .await;
        if let Err(error) = removed {
            tracing::debug!(%error, "settle a charge of a quota");
        }
    }
}

impl Charges {
    /// The charges made before `charge`, or all there are.
    pub async fn before(
        &self,
        store: &dyn Store,
        namespace: &str,
        charge: Option<&Charge>,
    ) -> Result<Vec<Use>, Status> {
        let prefix = keys::collection(PREFIX, Some(namespace));
        let page = store.range(Range::prefix(&prefix)).await;
        let mut entries = page.map_err(store_failure)?.entries;
        for old in self.take_old(&prefix, &mut entries) {
            tracing::info!(
                namespace,
                "a charge of a quota that nobody settled is removed"
            );
            if let Err(error) = store.delete(&old.key, Expect::At(old.modified)).await {
                tracing::debug!(%error, "remove an old charge of a quota");
            }
        }
        let is_before = |entry: &&Entry| charge.is_none_or(|own| entry.modified < own.revision);
        let earlier = entries.iter().filter(is_before);
        Ok(earlier
            .filter_map(|entry| serde_json::from_slice(&entry.value).ok())
            .collect())
    }

    /// Takes out what has been there for too long.
    fn take_old(&self, prefix: &[u8], entries: &mut Vec<Entry>) -> Vec<Entry> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_there = |key: &[u8]| entries.iter().any(|entry| entry.key == key);
        seen.retain(|key, _| !key.starts_with(prefix) || is_there(key));
        let is_old = |entry: &mut Entry| {
            let since = *seen.entry(entry.key.to_vec()).or_insert(now);
            now - since > LIFE
        };
        entries.extract_if(.., is_old).collect()
    }
}

#[cfg(test)]
mod tests {
    use store::{Log, Options};

    use super::*;

    async fn charge(store: &Arc<dyn Store>, object: &str) -> Charge {
        let mut charged = Use::new(object.as_bytes(), None);
        let one = Usage::from([("pods".to_owned(), Quantity::from_milli(1000))]);
        charged.add("q", &one);
        Charge::write(store, "ns", &charged).await.unwrap()
    }

    #[tokio::test]
    async fn a_charge_sees_those_before_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Log::open(dir.path(), Options::default()).unwrap();
        let charges = Charges::default();
        let first = charge(&store, "/a").await;
        let second = charge(&store, "/b").await;
        let seen = async |own: Option<&Charge>| {
            let uses = charges.before(&*store, "ns", own).await.unwrap();
            let mut names: Vec<String> = uses.iter().map(|used| used.object.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(seen(Some(&first)).await, [""; 0]);
        assert_eq!(seen(Some(&second)).await, ["/a"]);
        assert_eq!(seen(None).await, ["/a", "/b"]);
        first.settle().await;
        assert_eq!(seen(Some(&second)).await, [""; 0]);
        let uses = charges.before(&*store, "ns", None).await.unwrap();
        assert_eq!(uses[0].of("q")["pods"], Quantity::from_milli(1000));
        assert!(uses[0].of("another").is_empty());
    }

    #[tokio::test]
    async fn a_charge_is_over_when_its_object_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Log::open(dir.path(), Options::default()).unwrap();
        let stored = async || store.range(Range::prefix("/o")).await.unwrap().entries;
        let create = Use::new(b"/o", None);
        assert!(!create.is_over(&stored().await));
        let words = || store::Value::plain("{}");
        let made = store.put(b"/o", words(), Expect::Absent).await.unwrap();
        assert!(create.is_over(&stored().await));
        let change = Use::new(b"/o", Some(made.modified));
        assert!(!change.is_over(&stored().await));
        store
            .put(b"/o", words(), Expect::At(made.modified))
            .await
            .unwrap();
        assert!(change.is_over(&stored().await));
    }

    #[tokio::test(start_paused = true)]
    async fn a_charge_that_nobody_settles_grows_old() {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Log::open(dir.path(), Options::default()).unwrap();
        let charges = Charges::default();
        drop(charge(&store, "/lost").await);
        for (pause, expected) in [(0, 1), (100, 1), (21, 0)] {
            tokio::time::advance(Duration::from_secs(pause)).await;
            let uses = charges.before(&*store, "ns", None).await.unwrap();
            assert_eq!(uses.len(), expected, "after {pause} s more");
        }
        assert_eq!(store.count(b"/registry/quotacharges/").await.unwrap(), 0);
    }
}
