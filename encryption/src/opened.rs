//! Changes that were opened lately, for the next watcher of the same change.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use store::{Change, Revision};

/// Plain bytes held at most; a change larger than this is opened for each.
const BYTES_MAX: usize = 4 << 20;

/// A revision is one change, so it names it.
#[derive(Default)]
pub struct Recent(Mutex<Held>);

#[derive(Default)]
struct Held {
    changes: HashMap<Revision, Arc<Change>>,
    /// Oldest first, with their sizes.
    order: VecDeque<(Revision, usize)>,
    bytes: usize,
}

impl Recent {
    pub fn get(&self, revision: Revision) -> Option<Arc<Change>> {
        self.lock().changes.get(&revision).cloned()
    }

    pub fn add(&self, change: &Arc<Change>) {
        let size = size(change);
        if size > BYTES_MAX {
            return;
        }
        let mut held = self.lock();
        let revision = change.revision();
        if held.changes.insert(revision, change.clone()).is_some() {
            return;
        }
        held.order.push_back((revision, size));
        held.bytes += size;
        while held.bytes > BYTES_MAX {
            let Some((oldest, size)) = held.order.pop_front() else {
                break;
            };
            held.changes.remove(&oldest);
            held.bytes -= size;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(change: &Change) -> usize {
    let of = |entry: &store::Entry| entry.value.len() + entry.key.len() + 64;
    let new = match change {
        Change::Put { entry, .. } => of(entry),
        Change::Delete { .. } => 0,
    };
    new + change.previous().map_or(0, of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Entry;

    fn change(revision: u64, size: usize) -> Arc<Change> {
        Arc::new(Change::Put {
            entry: Entry {
                key: "k".into(),
                value: vec![0; size].into(),
                created: Revision(1),
                modified: Revision(revision),
            },
            previous: None,
        })
    }

    #[test]
    fn the_oldest_go_when_the_bytes_are_used_up() {
        let recent = Recent::default();
        for revision in 1..=6 {
            recent.add(&change(revision, 1 << 20));
        }
        assert!(recent.get(Revision(1)).is_none());
        assert!(recent.get(Revision(6)).is_some());
        assert!(recent.lock().bytes <= BYTES_MAX);
    }
}
