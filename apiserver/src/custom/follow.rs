//! The task that keeps what is served and what the definitions say in step.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use apimachinery::{meta, time};
use custom::Definition;
use jiff::Timestamp;
use serde_json::Value;
use store::{Change, Entry, Range, Revision, Signal};
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use super::{Family, PLURAL, cleanup, write_status};
use crate::api::Api;
use crate::keys;
use crate::mirror::parse;

/// Pause before the store is read again after a watch broke.
const RETRY: Duration = Duration::from_millis(200);

/// Serves what is defined already, and follows the definitions until the server stops.
pub async fn start(api: &Arc<Api>, tasks: &TaskTracker) -> Result<(), store::Error> {
    let mut board = Board {
        api: api.clone(),
        tasks: tasks.clone(),
        held: BTreeMap::new(),
        replaced: Vec::new(),
        ending: HashSet::new(),
    };
    let from = board.load().await?;
    let stop = api.stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = board.follow(from) => {}
        }
    });
    Ok(())
}

/// A definition as it is in the store, or is about to be.
struct Held {
    object: Value,
    at: Revision,
    current: Current,
}

/// What is served until it is dropped; then watches of it end, and their clients begin
/// anew.
struct Current {
    family: Arc<Family>,
    /// Cancels the family's `over`.
    watches: DropGuard,
}

struct Board {
    api: Arc<Api>,
    tasks: TaskTracker,
    held: BTreeMap<String, Held>,
    /// Their watches end only when what follows them is served: who watches anew
    /// must not get them once more.
    replaced: Vec<Current>,
    /// Definitions whose objects are being deleted, by their uids.
    ending: HashSet<String>,
}

impl Board {
    /// Reads all definitions, and serves them.
    async fn load(&mut self) -> Result<Revision, store::Error> {
        let page = self
            .api
            .store
            .range(Range::prefix(keys::kind(PLURAL)))
            .await?;
        let mut before = std::mem::take(&mut self.held);
        for entry in &page.entries {
            if let Some((name, object)) = read(entry) {
                let known = before.remove(&name);
                self.hold(name, object, entry.modified, known);
            }
        }
        self.publish();
        Ok(page.revision)
    }

    async fn follow(mut self, mut from: Revision) {
        loop {
            self.settle().await;
            match self.follow_once(from).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "the definitions are read again"),
            }
            tokio::time::sleep(RETRY).await;
            match self.load().await {
                Ok(revision) => from = revision,
                Err(error) => tracing::warn!(%error, "the definitions cannot be read"),
            }
        }
    }

    /// Ends well only when the store was closed.
    async fn follow_once(&mut self, from: Revision) -> Result<(), store::Error> {
        let mut watch = self.api.store.watch(&keys::kind(PLURAL), from).await?;
        while let Some(signal) = watch.next().await {
            if let Signal::Change(change) = signal? {
                self.take(&change);
                self.settle().await;
            }
        }
        Ok(())
    }

    fn take(&mut self, change: &Change) {
        let changed = match change {
            Change::Put { entry, .. } => {
                let Some((name, object)) = read(entry) else {
                    return;
                };
                let known = self.held.remove(&name);
                self.hold(name, object, entry.modified, known)
            }
            Change::Delete { previous, .. } => {
                let Some((name, object)) = read(previous) else {
                    return;
                };
                self.ending.remove(meta::uid(&object));
                let removed = self.held.remove(&name);
                let was_held = removed.is_some();
                self.replaced.extend(removed.map(|held| held.current));
                was_held
            }
        };
        if changed {
            self.publish();
        }
    }

    /// Compiles the definition unless it says what it said before; whether it did not.
    fn hold(&mut self, name: String, object: Value, at: Revision, known: Option<Held>) -> bool {
        let known = match known {
            Some(known) if defines_the_same(&known.object, &object) => Some(known),
            other => {
                self.replaced.extend(other.map(|other| other.current));
                None
            }
        };
        let (current, changed) = match known {
            Some(known) if says_the_same(&known.object, &object) => (known.current, false),
            Some(known) => (self.compile(&object, Some(known.current.watches)), true),
            None => (self.compile(&object, None), true),
        };
        let held = Held {
            object,
            at,
            current,
        };
        self.held.insert(name, held);
        changed
    }

    /// `watches`: those of a definition that only comes to its end go on.
    fn compile(&self, object: &Value, watches: Option<DropGuard>) -> Current {
        let definition = Definition::compile(object);
        // Another server may write by what it knew before: then none is sure.
        let since = match self.api.store.is_shared() {
            false => self.api.store.revision(),
            true => Revision(u64::MAX),
        };
        let over = match watches {
            Some(watches) => watches.disarm(),
            None => self.api.stop.child_token(),
        };
        Current {
            family: Arc::new(Family::new(definition, since, over.clone())),
            watches: over.drop_guard(),
        }
    }

    fn publish(&mut self) {
        let kinds = self
            .held
            .values()
            .flat_map(|held| held.current.family.served());
        self.api.resources.set_custom(kinds);
        self.replaced.clear();
    }

    /// Accepts names, establishes, and begins to end what is to end.
    async fn settle(&mut self) {
        let names: Vec<String> = self.held.keys().cloned().collect();
        for name in names {
            self.accept(&name).await;
            self.end(&name);
        }
    }

    async fn accept(&mut self, name: &str) {
        let Some(held) = self.held.get(name) else {
            return;
        };
        let group = meta::text(&held.object, "spec.group");
        let others = self.held.iter().filter(|(other, held)| {
            *other != name && meta::text(&held.object, "spec.group") == group
        });
        let others = others.map(|(_, held)| &held.object);
        let now = time::rfc3339(Timestamp::now());
        let Some(new) = custom::acceptance::settle(&held.object, others, &now) else {
            return;
        };
        let (old, at) = (held.object.clone(), held.at);
        // Served before it says so: who sees it established may use it.
        self.foresee(name, &old, &new);
        match write_status(&self.api, &old, new, at).await {
            Ok(true) => return,
            Ok(false) => tracing::debug!(name, "somebody else changed the definition"),
            Err(status) => {
                let why = status.message;
                tracing::warn!(name, %why, "a definition's status cannot be written");
            }
        }
        if let Some(held) = self.held.get_mut(name) {
            held.object = old;
        }
    }

    /// Serves what the definition is about to say.
    fn foresee(&mut self, name: &str, old: &Value, new: &Value) {
        let current = (!says_the_same(old, new)).then(|| self.compile(new, None));
        let Some(held) = self.held.get_mut(name) else {
            return;
        };
        held.object = new.clone();
        if let Some(current) = current {
            let before = std::mem::replace(&mut held.current, current);
            self.replaced.push(before);
            self.publish();
        }
    }

    fn end(&mut self, name: &str) {
        let Some(held) = self.held.get(name) else {
            return;
        };
        let is_ending = meta::deletion_timestamp(&held.object).is_some()
            && meta::finalizers(&held.object).any(|f| f == custom::acceptance::CLEANUP);
        if is_ending && self.ending.insert(meta::uid(&held.object).to_owned()) {
            let (api, family) = (self.api.clone(), held.current.family.clone());
            let stop = api.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = cleanup::run(&api, &family) => {}
                }
            });
        }
    }
}

fn read(entry: &Entry) -> Option<(String, Value)> {
    let key = String::from_utf8_lossy(&entry.key);
    let object = parse(&key, &entry.value)?;
    Some((meta::name(&object).to_owned(), object))
}

/// Whether two states of a definition serve the same.
fn says_the_same(a: &Value, b: &Value) -> bool {
    custom::stage(a) == custom::stage(b) && defines_the_same(a, b)
}

/// The same, but for how far it is.
fn defines_the_same(a: &Value, b: &Value) -> bool {
    let names = |object: &Value| meta::get(object, "status.acceptedNames").cloned();
    meta::uid(a) == meta::uid(b) && a.get("spec") == b.get("spec") && names(a) == names(b)
}
