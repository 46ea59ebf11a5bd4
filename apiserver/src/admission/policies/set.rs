//! All policies of one kind and their bindings, following the store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::binding::Binding;
use super::policy::{Policy, Rules};
use crate::mirror::{Follower, Source, parse};

/// A policy where a binding puts it in force.
pub struct Pair<R> {
    pub policy: Arc<Policy<R>>,
    pub binding: Arc<Binding>,
}

pub struct Set<R> {
    /// Known without a lock, for the many writes of clusters without policies.
    count: AtomicUsize,
    pairs: RwLock<Arc<Vec<Pair<R>>>>,
    parts: Mutex<Parts<R>>,
}

struct Parts<R> {
    policies: BTreeMap<String, Arc<Policy<R>>>,
    bindings: BTreeMap<String, Arc<Binding>>,
}

impl<R> Default for Set<R> {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            pairs: RwLock::default(),
            parts: Mutex::new(Parts {
                policies: BTreeMap::new(),
                bindings: BTreeMap::new(),
            }),
        }
    }
}

impl<R: Rules> Set<R> {
    /// `stem` is what the places of policies and bindings in the store begin with.
    pub async fn load(source: &Source, stem: &str) -> Result<Arc<Self>, store::Error> {
        let set = Arc::new(Self::default());
        let policies = Arc::new(OfPolicies(set.clone()));
        source.follow(&format!("{stem}ies"), policies).await?;
        let bindings = Arc::new(OfBindings(set.clone()));
        source.follow(&format!("{stem}ybindings"), bindings).await?;
        Ok(set)
    }

    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    pub fn all(&self) -> Arc<Vec<Pair<R>>> {
        let pairs = self.pairs.read().unwrap_or_else(PoisonError::into_inner);
        pairs.clone()
    }

    /// The policy of that name, bound or not.
    pub fn policy(&self, name: &str) -> Option<Arc<Policy<R>>> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.policies.get(name).cloned()
    }

    fn change(&self, change: impl FnOnce(&mut Parts<R>)) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut parts);
        let mut pairs = Vec::new();
        for policy in parts.policies.values() {
            let bindings = parts.bindings.values();
            pairs.extend(
                bindings
                    .filter(|b| b.policy == policy.name)
                    .map(|binding| Pair {
                        policy: Arc::clone(policy),
                        binding: Arc::clone(binding),
                    }),
            );
        }
        let count = pairs.len();
        *self.pairs.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pairs);
        self.count.store(count, Ordering::Release);
    }
}

struct OfPolicies<R>(Arc<Set<R>>);
struct OfBindings<R>(Arc<Set<R>>);

impl<R: Rules> Follower for OfPolicies<R> {
    fn put(&self, key: &str, object: &[u8]) {
        if let Some(object) = parse(key, object) {
            let policy = Arc::new(Policy::read(key, &object));
            self.0
                .change(|parts| drop(parts.policies.insert(key.to_owned(), policy)));
        }
    }

    fn delete(&self, key: &str) {
        self.0.change(|parts| drop(parts.policies.remove(key)));
    }

    fn clear(&self) {
        self.0.change(|parts| parts.policies.clear());
    }
}

impl<R: Rules> Follower for OfBindings<R> {
    fn put(&self, key: &str, object: &[u8]) {
        if let Some(object) = parse(key, object) {
            let binding = Arc::new(Binding::read(key, &object));
            self.0
                .change(|parts| drop(parts.bindings.insert(key.to_owned(), binding)));
        }
    }

    fn delete(&self, key: &str) {
        self.0.change(|parts| drop(parts.bindings.remove(key)));
    }

    fn clear(&self) {
        self.0.change(|parts| parts.bindings.clear());
    }
}
