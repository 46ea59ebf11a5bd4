//! How much may be live, and the alarm when no more fits.
//!
//! A full store must still be able to shed what it holds, and an object is
//! often deleted by updates of it (a deletion time, a finalizer less). So new
//! keys are refused at the quota; updates that grow a key only beyond a reserve
//! above it; deletes and updates that do not grow a key never.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Change, Entry, Error};

/// The reserve is this part of the quota.
const RESERVE: u64 = 8;
/// The alarm ends when this part of the quota is free again.
const ROOM: u64 = 16;

#[derive(Debug)]
pub struct Quota {
    limit: Option<u64>,
    is_exceeded: AtomicBool,
}

impl Quota {
    pub fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            is_exceeded: AtomicBool::new(false),
        }
    }

    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Whether a write was refused and there is no room since.
    pub fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Ordering::Relaxed)
    }

    /// Answers how many bytes are live after the change, of `live` before it.
    ///
    /// # Errors
    /// [`Error::Quota`] if that is too much.
    pub fn admit(&self, live: u64, change: &Change) -> Result<u64, Error> {
        let before = change.previous().map_or(0, Entry::size);
        let after = match change {
            Change::Put { entry, .. } => entry.size(),
            Change::Delete { .. } => 0,
        };
        let total = live - before + after;
        let Some(quota) = self.limit else {
            return Ok(total);
        };
        let is_new = change.previous().is_none();
        let limit = if is_new {
            quota
        } else {
            quota + quota / RESERVE
        };
        if after > before && total > limit {
            return Err(Error::Quota { used: live, quota });
        }
        Ok(total)
    }

    /// Raises the alarm after a refusal; tells the operator once.
    pub fn refused(&self, live: u64) {
        let quota = self.limit.unwrap_or(u64::MAX);
        if !self.is_exceeded.swap(true, Ordering::Relaxed) {
            tracing::error!(
                live,
                quota,
                "the store is full: new objects are refused until some are deleted or --store-quota is raised"
            );
        }
    }

    /// Ends the alarm once there is room again.
    pub fn settle(&self, live: u64) {
        let Some(quota) = self.limit.filter(|_| self.is_exceeded()) else {
            return;
        };
        if live <= quota - quota / ROOM {
            self.is_exceeded.store(false, Ordering::Relaxed);
            tracing::warn!(live, quota, "the store has room again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::Revision;

    fn entry(size: usize) -> Entry {
        Entry {
            key: Bytes::from_static(b"0123456789"),
            value: Bytes::from(vec![b'x'; size - 10]),
            created: Revision(1),
            modified: Revision(1),
        }
    }

    fn put(size: usize, previous: Option<usize>) -> Arc<Change> {
        Arc::new(Change::Put {
            entry: entry(size),
            previous: previous.map(entry),
        })
    }

    #[test]
    fn a_new_key_fits_up_to_the_quota_and_a_growing_one_into_the_reserve() {
        let quota = Quota::new(Some(800));
        let admit = |live, change: Arc<Change>| quota.admit(live, &change);
        assert_eq!(admit(700, put(100, None)).unwrap(), 800);
        let error = admit(701, put(100, None)).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Quota {
                    used: 701,
                    quota: 800
                }
            ),
            "{error}"
        );
        assert_eq!(admit(800, put(200, Some(100))).unwrap(), 900);
        admit(801, put(200, Some(100))).unwrap_err();
    }

    #[test]
    fn whatever_does_not_grow_is_let_through_however_full_it_is() {
        let quota = Quota::new(Some(100));
        assert_eq!(quota.admit(5000, &put(50, Some(50))).unwrap(), 5000);
        let delete = Change::Delete {
            key: Bytes::new(),
            revision: Revision(2),
            previous: entry(50),
        };
        assert_eq!(quota.admit(5000, &delete).unwrap(), 4950);
    }

    #[test]
    fn the_alarm_ends_only_when_there_is_some_room() {
        let quota = Quota::new(Some(1600));
        quota.settle(0);
        assert!(!quota.is_exceeded());
        quota.refused(1600);
        quota.settle(1501);
        assert!(quota.is_exceeded());
        quota.settle(1500);
        assert!(!quota.is_exceeded());
    }
}
