//! Decides what a batch of requests does: each is checked against what the
//! ones before it leave behind, and gets its revision.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::quota::Quota;
use crate::{Change, Entry, Error, Expect, Revision, Value, index::Index};

/// A write somebody waits for.
#[derive(Debug)]
pub struct Write {
    pub key: Bytes,
    pub action: Action,
    pub expect: Expect,
    pub answer: Answer,
}

#[derive(Debug)]
pub enum Action {
    Put(Value),
    Delete,
}

/// Is told the change once it is durable and visible.
pub type Answer = oneshot::Sender<Result<Arc<Change>, Error>>;

impl Write {
    /// About how long its record will be.
    pub fn size(&self) -> usize {
        let value = match &self.action {
            Action::Put(value) => value.bytes.len(),
            Action::Delete => 0,
        };
        self.key.len() + value + 32
    }
}

#[derive(Debug)]
pub struct Plan<'a> {
    index: &'a Index,
    quota: &'a Quota,
    last: Revision,
    live: u64,
    /// What the keys that the batch writes will hold.
    pending: HashMap<Bytes, Option<Entry>>,
    pub changes: Vec<Arc<Change>>,
    pub answers: Vec<(Answer, Result<Arc<Change>, Error>)>,
}

impl<'a> Plan<'a> {
    pub fn new(index: &'a Index, quota: &'a Quota, writes: usize) -> Self {
        Self {
            index,
            quota,
            last: index.newest(),
            live: index.live(),
            pending: HashMap::with_capacity(writes),
            changes: Vec::with_capacity(writes),
            answers: Vec::with_capacity(writes),
        }
    }

    pub fn add(&mut self, write: Write) {
        let current = match self.pending.get(&write.key) {
            Some(pending) => pending.clone(),
            None => self.index.get(&write.key),
        };
        let outcome = decide(
            write.key,
            &write.action,
            write.expect,
            current,
            self.last.next(),
        );
        let outcome = outcome.and_then(|change| {
            self.live = self.quota.admit(self.live, &change)?;
            Ok(Arc::new(change))
        });
        if let Ok(change) = &outcome {
            self.last = change.revision();
            let left = match &**change {
                Change::Put { entry, .. } => Some(entry.clone()),
                Change::Delete { .. } => None,
            };
            self.pending.insert(change.key().clone(), left);
            self.changes.push(Arc::clone(change));
        }
        self.answers.push((write.answer, outcome));
    }
}

fn decide(
    key: Bytes,
    action: &Action,
    expect: Expect,
    current: Option<Entry>,
    revision: Revision,
) -> Result<Change, Error> {
    if matches!(action, Action::Delete) && current.is_none() {
        return Err(Error::NotFound);
    }
    let is_as_expected = match expect {
        Expect::Any => true,
        Expect::Absent => current.is_none(),
        Expect::At(at) => current.as_ref().is_some_and(|entry| entry.modified == at),
    };
    if !is_as_expected {
        return Err(Error::Conflict { current });
    }
    // All versions of a key share the bytes of its first writer's key.
    let key = current.as_ref().map_or(key, |entry| entry.key.clone());
    Ok(match (action, current) {
        (Action::Put(value), previous) => Change::Put {
            entry: Entry {
                key,
                value: value.fill(revision),
                created: previous.as_ref().map_or(revision, |entry| entry.created),
                modified: revision,
            },
            previous,
        },
        (Action::Delete, Some(previous)) => Change::Delete {
            key,
            revision,
            previous,
        },
        (Action::Delete, None) => return Err(Error::NotFound),
    })
}
