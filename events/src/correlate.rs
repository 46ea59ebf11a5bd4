//! Which event a new thing told belongs to: its own, one that says the same
//! already, one for many that are alike, or none.
//!
//! Bounds and words are those of Kubernetes' event correlator. What is
//! remembered is found by 64-bit hashes: two that are taken for one another
//! would be one event counted wrongly.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;

use crate::recent::Recent;
use crate::{Occurrence, event};

/// What is remembered of each sort, at least; twice as much at most.
const REMEMBERED: usize = 2048;
/// Different messages of one reason about one object; the next are combined.
const SIMILAR: usize = 10;
const SIMILAR_FOR: SignedDuration = SignedDuration::from_mins(10);
/// Events about one object at once, and how long until there may be one more.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;
const COMBINED: &str = "(combined from similar events): ";

/// Where one occurrence goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    /// The event's name.
    pub name: String,
    pub message: String,
    /// How often it happened; 1 is a new event.
    pub count: i32,
}

#[derive(Debug)]
pub struct Correlation {
    hasher: RandomState,
    /// The event that says just this, and how often it did.
    known: Recent<(String, i32)>,
    /// The messages there were of one reason about one object.
    similar: Recent<(Timestamp, Vec<u64>)>,
    /// How many more events about one object there may be.
    budgets: Recent<(Timestamp, f64)>,
}

impl Correlation {
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            known: Recent::new(REMEMBERED),
            similar: Recent::new(REMEMBERED),
            budgets: Recent::new(REMEMBERED),
        }
    }

    /// None when there were too many about the object.
    pub fn place(&mut self, occurrence: &Occurrence) -> Option<Placed> {
        let told = &occurrence.told;
        let object = self.hash((&occurrence.source, identity(&told.about)));
        if !self.spend(object, occurrence.at) {
            return None;
        }
        let field = &told.about.field_path;
        let sort = self.hash((object, field, told.level, &told.reason, told.action));
        let text = self.hash((sort, &told.message));
        let (key, message) = if self.is_one_of_many(sort, text, occurrence.at) {
            (sort, format!("{COMBINED}{}", told.message))
        } else {
            (text, told.message.clone())
        };
        let (name, count) = self.known.entry(key, || (event::name(occurrence), 0));
        *count = count.saturating_add(1);
        Some(Placed {
            name: name.clone(),
            message,
            count: *count,
        })
    }

    fn hash(&self, what: impl Hash) -> u64 {
        self.hasher.hash_one(what)
    }

    fn spend(&mut self, object: u64, now: Timestamp) -> bool {
        let (since, left) = self.budgets.entry(object, || (now, BURST));
        let earned = now.duration_since(*since).as_secs_f64() / REFILL_SECONDS;
        *left = (*left + earned.max(0.0)).min(BURST);
        *since = now;
        let may = *left >= 1.0;
        if may {
            *left -= 1.0;
        }
        may
    }

    fn is_one_of_many(&mut self, sort: u64, text: u64, now: Timestamp) -> bool {
        let (last, texts) = self.similar.entry(sort, || (now, Vec::new()));
        if now.duration_since(*last) > SIMILAR_FOR {
            texts.clear();
        }
        *last = now;
        if texts.contains(&text) {
            return false;
        }
        if texts.len() >= SIMILAR {
            return true;
        }
        texts.push(text);
        false
    }
}

/// The parts of a reference that say which object it is.
fn identity(about: &ObjectReference) -> impl Hash {
    (
        &about.kind,
        &about.namespace,
        &about.name,
        &about.uid,
        &about.api_version,
    )
}

#[cfg(test)]
mod tests;
