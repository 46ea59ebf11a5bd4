//! Events of etcd made into changes, whole revisions at a time: etcd may send
//! one revision in several answers, but a watcher that joins in between must
//! not get half of it.

use std::sync::Arc;

use etcd_client::proto::{PbEvent, PbKeyValue};
use store::{Change, Entry, Revision};

use crate::read::{entry, strip};
use crate::root::Root;

const DELETE: i32 = 1;

/// Changes that are not handed on yet.
#[derive(Default)]
pub struct Batch {
    changes: Vec<Arc<Change>>,
}

/// What a key held before the change at this revision is forgotten.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost(pub Revision);

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// # Errors
    /// [`Lost`] at the first event that cannot be told; those before it are
    /// taken.
    pub fn take(&mut self, events: Vec<PbEvent>, root: &Root) -> Result<(), Lost> {
        for event in events {
            self.changes.extend(change(event, root)?.map(Arc::new));
        }
        Ok(())
    }

    /// What can be handed on: everything, or, if more of the last revision is
    /// to come, what is before that one.
    pub fn ready(&mut self, is_whole: bool) -> Vec<Arc<Change>> {
        let Some(last) = self.changes.last().filter(|_| !is_whole) else {
            return std::mem::take(&mut self.changes);
        };
        let last = last.revision();
        let whole = self.changes.partition_point(|c| c.revision() < last);
        let rest = self.changes.split_off(whole);
        std::mem::replace(&mut self.changes, rest)
    }
}

/// `Ok(None)`: the event is about a value that is none of skiff's.
fn change(event: PbEvent, root: &Root) -> Result<Option<Change>, Lost> {
    let Some(kv) = event.kv else { return Ok(None) };
    let revision = root.revision(kv.mod_revision);
    if event.r#type == DELETE {
        let previous = event.prev_kv.ok_or(Lost(revision))?;
        return Ok(known(root, previous).map(|previous| Change::Delete {
            key: strip(root, kv.key),
            revision,
            previous,
        }));
    }
    if kv.version > 1 && event.prev_kv.is_none() {
        return Err(Lost(revision));
    }
    let previous = event.prev_kv.and_then(|previous| known(root, previous));
    Ok(known(root, kv).map(|entry| Change::Put { entry, previous }))
}

fn known(root: &Root, kv: PbKeyValue) -> Option<Entry> {
    entry(root, kv)
        .inspect_err(|error| tracing::warn!(%error, "a change in the datastore is passed over"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(revision: i64, version: i64) -> PbKeyValue {
        PbKeyValue {
            key: b"/r/k".to_vec(),
            value: b"\0v".to_vec(),
            create_revision: 1,
            mod_revision: revision,
            version,
            lease: 0,
        }
    }

    fn put(revision: i64, previous: Option<PbKeyValue>) -> PbEvent {
        PbEvent {
            r#type: 0,
            kv: Some(kv(revision, if previous.is_some() { 2 } else { 1 })),
            prev_kv: previous,
        }
    }

    fn revisions(changes: &[Arc<Change>]) -> Vec<u64> {
        changes.iter().map(|change| change.revision().0).collect()
    }

    #[test]
    fn a_revision_in_pieces_is_handed_on_whole() {
        let root = Root::new("/r");
        let mut batch = Batch::default();
        let events = [3, 4, 4].map(|revision| put(revision, None));
        batch.take(events.to_vec(), &root).unwrap();
        assert_eq!(revisions(&batch.ready(false)), [3]);
        batch.take(vec![put(4, None), put(5, None)], &root).unwrap();
        assert_eq!(revisions(&batch.ready(false)), [4, 4, 4]);
        assert_eq!(revisions(&batch.ready(true)), [5]);
        assert!(batch.is_empty());
    }

    #[test]
    fn a_change_whose_past_is_forgotten_is_not_told() {
        let root = Root::new("/r");
        let mut batch = Batch::default();
        let mut lost = put(7, Some(kv(6, 1)));
        lost.prev_kv = None;
        let taken = batch.take(vec![put(6, None), lost], &root);
        assert_eq!(taken, Err(Lost(Revision(7))));
        assert_eq!(revisions(&batch.ready(true)), [6]);
        let delete = PbEvent {
            r#type: DELETE,
            kv: Some(kv(8, 0)),
            prev_kv: None,
        };
        assert_eq!(batch.take(vec![delete], &root), Err(Lost(Revision(8))));
    }

    #[test]
    fn a_value_of_somebody_else_is_passed_over() {
        let mut event = put(3, None);
        event.kv.as_mut().unwrap().value = b"not skiff's".to_vec();
        let mut batch = Batch::default();
        batch.take(vec![event], &Root::new("/r")).unwrap();
        assert!(batch.is_empty());
    }
}
