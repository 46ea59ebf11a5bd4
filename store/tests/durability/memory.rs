//! What is superseded is given back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use store::{Expect, Log, Options, Store, Value};

use super::fake_disk::FakeDisk;

/// A value that says when nobody holds it any more.
struct Counted(Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &[b'x'; 4000]
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn put(log: &Log, key: usize, held: &Arc<AtomicUsize>) {
    held.fetch_add(1, Ordering::Relaxed);
    let value = Value::plain(Bytes::from_owner(Counted(Arc::clone(held))));
    let key = format!("/{key}");
    let put = log.put(key.as_bytes(), value, Expect::Any).await;
    put.unwrap();
}

/// The writer's thread lets go of a batch just after it has answered.
async fn settles_at(held: &AtomicUsize, expected: usize) -> bool {
    for _ in 0..2000 {
        if held.load(Ordering::Relaxed) == expected {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

#[tokio::test]
async fn superseded_values_are_released_by_compaction() {
    let log = Log::open_on(Arc::new(FakeDisk::default()), "/s", Options::default()).unwrap();
    let held = Arc::default();
    for at in 0..1000 {
        put(&log, at % 10, &held).await;
    }
    log.delete(b"/0", Expect::Any).await.unwrap();
    let all = held.load(Ordering::Relaxed);
    assert_eq!(all, 1000, "history is kept until it is compacted");
    log.compact(log.revision()).await.unwrap();
    assert!(settles_at(&held, 9).await, "one a live key: {held:?}");
}

#[tokio::test]
async fn history_is_bounded_in_bytes_without_anyone_compacting() {
    let options = Options {
        history_bytes: 100_000,
        ..Options::default()
    };
    let log = Log::open_on(Arc::new(FakeDisk::default()), "/s", options).unwrap();
    let held = Arc::default();
    for at in 0..1000 {
        put(&log, at % 10, &held).await;
    }
    let held = held.load(Ordering::Relaxed) - 1; // the writer's
    assert!((9..=10 + 100_000 / 4000).contains(&held), "{held}");
}

#[tokio::test]
async fn a_watcher_that_went_away_holds_nothing() {
    let log = Log::open_on(Arc::new(FakeDisk::default()), "/s", Options::default()).unwrap();
    let held = Arc::default();
    let watch = log.watch(b"", log.revision()).await.unwrap();
    for _ in 0..100 {
        put(&log, 0, &held).await;
    }
    log.compact(log.revision()).await.unwrap();
    assert_eq!(held.load(Ordering::Relaxed), 100, "the watcher's queue");
    drop(watch);
    assert!(settles_at(&held, 1).await, "{held:?}");
}
