//! All webhooks of one stage, in the order they are asked, following the store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use apimachinery::meta;

use super::hook::Hook;
use crate::mirror::{Follower, parse};

#[derive(Default)]
pub struct Hooks {
    /// Known without a lock, for the many writes of clusters without webhooks.
    count: AtomicUsize,
    by_configuration: RwLock<BTreeMap<String, Vec<Arc<Hook>>>>,
}

impl Hooks {
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub fn all(&self) -> Vec<Arc<Hook>> {
        let hooks = self
            .by_configuration
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        hooks.values().flatten().cloned().collect()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<Arc<Hook>>>)) {
        let mut hooks = self
            .by_configuration
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(&mut hooks);
        let count = hooks.values().map(Vec::len).sum();
        self.count.store(count, Ordering::Release);
    }
}

impl Follower for Hooks {
    fn put(&self, key: &str, object: &[u8]) {
        let Some(configuration) = parse(key, object) else {
            return;
        };
        let webhooks = meta::items(&configuration, "webhooks").iter();
        let hooks = webhooks.map(|webhook| Arc::new(Hook::read(key, webhook)));
        let hooks = hooks.collect();
        self.change(|all| drop(all.insert(key.to_owned(), hooks)));
    }

    fn delete(&self, key: &str) {
        self.change(|all| drop(all.remove(key)));
    }

    fn clear(&self) {
        self.change(BTreeMap::clear);
    }
}
