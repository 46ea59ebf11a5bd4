//! The recent changes, bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use store::{Change, Entry, Error, Revision};

/// What a change costs in memory beside keys and values.
const OVERHEAD: usize = 240;

pub struct Ring {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    /// All changes after this one, up to `newest`, are here.
    oldest: Revision,
    newest: Revision,
    max_changes: usize,
    max_bytes: usize,
}

impl Ring {
    pub fn new(from: Revision, max_changes: usize, max_bytes: usize) -> Self {
        Self {
            changes: VecDeque::new(),
            bytes: 0,
            oldest: from,
            newest: from,
            max_changes,
            max_bytes,
        }
    }

    pub fn oldest(&self) -> Revision {
        self.oldest
    }

    pub fn push(&mut self, changes: &[Arc<Change>]) {
        for change in changes {
            self.newest = change.revision();
            self.bytes += size(change);
            self.changes.push_back(Arc::clone(change));
        }
        while self.changes.len() > self.max_changes || self.bytes > self.max_bytes {
            let Some(first) = self.changes.front() else {
                return;
            };
            let revision = first.revision();
            self.forget(revision);
        }
    }

    /// The changes under `prefix` after `from`, and up to where they go.
    pub fn after(
        &self,
        prefix: &[u8],
        from: Revision,
    ) -> Result<(Vec<Arc<Change>>, Revision), Error> {
        if from < self.oldest {
            return Err(Error::Compacted {
                wanted: from,
                oldest: self.oldest,
            });
        }
        let start = self.changes.partition_point(|c| c.revision() <= from);
        let changes = self.changes.range(start..);
        let changes = changes.filter(|change| change.key().starts_with(prefix));
        Ok((changes.cloned().collect(), self.newest.max(from)))
    }

    /// Forgets the changes up to `before`.
    pub fn forget(&mut self, before: Revision) {
        while let Some(first) = self.changes.front() {
            if first.revision() > before {
                break;
            }
            self.bytes -= size(first);
            self.changes.pop_front();
        }
        self.oldest = self.oldest.max(before);
        self.newest = self.newest.max(self.oldest);
    }

    /// Begins anew after a gap.
    pub fn reset(&mut self, from: Revision) {
        self.changes.clear();
        self.bytes = 0;
        self.oldest = self.oldest.max(from);
        self.newest = self.newest.max(from);
    }
}

/// The value before is the one of an older change, or held by nobody else.
fn size(change: &Change) -> usize {
    let of = |entry: Option<&Entry>| entry.map_or(0, |e| e.key.len() + e.value.len());
    let new = match change {
        Change::Put { entry, .. } => Some(entry),
        Change::Delete { .. } => None,
    };
    OVERHEAD + of(new) + of(change.previous())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, revision: u64) -> Arc<Change> {
        let entry = Entry {
            key: key.to_owned().into(),
            value: vec![0; 100].into(),
            created: Revision(revision),
            modified: Revision(revision),
        };
        Arc::new(Change::Put {
            entry,
            previous: None,
        })
    }

    fn revisions(ring: &Ring, prefix: &str, from: u64) -> (Vec<u64>, u64) {
        let (changes, to) = ring.after(prefix.as_bytes(), Revision(from)).unwrap();
        (changes.iter().map(|c| c.revision().0).collect(), to.0)
    }

    #[test]
    fn a_watcher_gets_what_follows_its_revision_under_its_prefix() {
        let mut ring = Ring::new(Revision(10), 100, 1 << 20);
        ring.push(&[change("/a/1", 12), change("/b/1", 13), change("/a/2", 15)]);
        assert_eq!(revisions(&ring, "/a/", 10), (vec![12, 15], 15));
        assert_eq!(revisions(&ring, "", 12), (vec![13, 15], 15));
        assert_eq!(revisions(&ring, "", 99), (vec![], 99));
        assert!(ring.after(b"", Revision(9)).is_err());
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_or_they_are_too_big() {
        let mut ring = Ring::new(Revision(0), 2, 1 << 20);
        ring.push(&[change("/a", 1), change("/a", 2), change("/a", 3)]);
        assert_eq!(ring.oldest(), Revision(1));
        assert_eq!(revisions(&ring, "", 1), (vec![2, 3], 3));
        let mut ring = Ring::new(Revision(0), 100, 2 * size(&change("/a", 1)));
        ring.push(&[change("/a", 1), change("/a", 2), change("/a", 3)]);
        assert_eq!(ring.oldest(), Revision(1));
    }

    #[test]
    fn after_a_gap_nobody_is_served_from_before_it() {
        let mut ring = Ring::new(Revision(0), 10, 1 << 20);
        ring.push(&[change("/a", 1)]);
        ring.reset(Revision(50));
        assert!(ring.after(b"", Revision(49)).is_err());
        assert_eq!(revisions(&ring, "", 50), (vec![], 50));
    }
}
