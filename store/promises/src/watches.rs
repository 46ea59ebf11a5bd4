//! What a watcher is promised.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use store::{Change, Revision, Signal, Store};
use tokio::time::timeout;

use crate::{delete, drain, next, put};

/// How many writes the concurrent promises are tried with.
const WRITERS: usize = 4;
const WRITES: usize = 100;
/// A wake that was lost comes later than this.
const LONG: Duration = Duration::from_secs(20);

pub async fn a_watcher_sees_each_change_with_what_was_before(store: Arc<dyn Store>) {
    let mut watch = store.watch(b"/k", store.revision()).await.unwrap();
    let made = put(&*store, "/k", "1").await;
    let changed = put(&*store, "/k", "2").await;
    let removed = delete(&*store, "/k").await;
    let first = next(&mut watch).await;
    assert_eq!((first.revision(), first.previous()), (made, None));
    let second = next(&mut watch).await;
    let Change::Put { entry, previous } = &*second else {
        panic!("{second:?}");
    };
    assert_eq!((entry.created, entry.modified), (made, changed));
    assert_eq!(previous.as_ref().unwrap().value, "1");
    let third = next(&mut watch).await;
    let Change::Delete { key, previous, .. } = &*third else {
        panic!("{third:?}");
    };
    assert_eq!((&key[..], third.revision()), (&b"/k"[..], removed));
    assert_eq!(
        (&previous.value[..], previous.modified),
        (&b"2"[..], changed)
    );
}

pub async fn a_watcher_of_a_prefix_sees_nothing_else(store: Arc<dyn Store>) {
    let mut watch = store.watch(b"/b/", store.revision()).await.unwrap();
    for key in ["/a", "/b/1", "/b", "/c", "/b/2", "/b0"] {
        put(&*store, key, "v").await;
    }
    let (changes, _) = drain(&mut watch).await;
    let keys: Vec<_> = changes.iter().map(|change| change.key().clone()).collect();
    assert_eq!(keys, ["/b/1", "/b/2"]);
}

pub async fn a_watch_from_the_past_begins_there(store: Arc<dyn Store>) {
    put(&*store, "/k", "1").await;
    let from = put(&*store, "/k", "2").await;
    let third = put(&*store, "/k", "3").await;
    let fourth = delete(&*store, "/k").await;
    let mut watch = store.watch(b"/k", from).await.unwrap();
    let change = next(&mut watch).await;
    assert_eq!(change.revision(), third);
    assert_eq!(change.previous().unwrap().value, "2");
    assert_eq!(next(&mut watch).await.revision(), fourth);
    let fifth = put(&*store, "/k", "5").await;
    assert_eq!(next(&mut watch).await.revision(), fifth);
}

pub async fn a_watch_begun_amid_writes_has_no_gap_and_no_double(store: Arc<dyn Store>) {
    let start = store.revision();
    let writers = write_all(&store);
    let watchers = (0..8).map(|at| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(at)).await;
            let mut watch = store.watch(b"/w/", start).await.unwrap();
            take(&mut watch, WRITERS * WRITES).await
        })
    });
    let (mut written, seen) = tokio::join!(writers, join_all(watchers));
    written.sort_unstable();
    for seen in seen {
        assert_eq!(seen.unwrap(), written);
    }
}

pub async fn all_watchers_see_one_order(store: Arc<dyn Store>) {
    let start = store.revision();
    let mut everything = store.watch(b"", start).await.unwrap();
    let mut part = store.watch(b"/w/1", start).await.unwrap();
    write_all(&store).await;
    let all = drain(&mut everything).await.0;
    let part = drain(&mut part).await.0;
    assert_eq!(all.len(), WRITERS * WRITES);
    assert!(all.is_sorted_by_key(|change| change.revision()));
    let same: Vec<_> = all
        .into_iter()
        .filter(|change| change.key().starts_with(b"/w/1"))
        .collect();
    assert_eq!(part, same);
}

pub async fn progress_is_reported_to_watchers_of_keys_that_do_not_change(store: Arc<dyn Store>) {
    let mut watch = store.watch(b"/quiet/", store.revision()).await.unwrap();
    let newest = put(&*store, "/busy/", "v").await;
    let (changes, progress) = drain(&mut watch).await;
    assert!(changes.is_empty() && progress >= newest);
    let newest = put(&*store, "/busy/", "v").await;
    assert!(
        drain(&mut watch).await.1 >= newest,
        "each time it is asked for"
    );
}

pub async fn progress_comes_after_all_changes_before_it(store: Arc<dyn Store>) {
    let mut watch = store.watch(b"/w/", store.revision()).await.unwrap();
    let writers = tokio::spawn({
        let store = Arc::clone(&store);
        async move { write_all(&store).await }
    });
    let mut seen = 0;
    while seen < WRITERS * WRITES {
        let (changes, progress) = drain(&mut watch).await;
        seen += changes.len();
        let last = changes.last().map_or(progress, |last| last.revision());
        assert!(last <= progress);
        // Whoever lists as of the progress finds what the watch has told.
        let at = store::Range::prefix("/w/").at(progress);
        let page = store.range(at).await.unwrap();
        let newest = page.entries.iter().map(|entry| entry.modified).max();
        assert!(newest.is_none_or(|newest| newest <= progress));
    }
    writers.await.unwrap();
}

pub async fn a_cancelled_wait_loses_nothing(store: Arc<dyn Store>) {
    let mut watch = store.watch(b"/k", store.revision()).await.unwrap();
    for _ in 0..20 {
        let revision = {
            let wait = watch.next();
            tokio::pin!(wait);
            let cancelled = tokio::time::timeout(Duration::from_millis(1), &mut wait).await;
            assert!(cancelled.is_err(), "nothing was written yet");
            put(&*store, "/k", "v").await
        };
        assert_eq!(next(&mut watch).await.revision(), revision);
    }
}

/// As a server polls its watches, of which each is one of many things it waits for.
pub async fn a_wait_that_is_begun_anew_at_each_wake_is_woken(store: Arc<dyn Store>) {
    let mut watch = store.watch(b"/k", store.revision()).await.unwrap();
    for _ in 0..20 {
        let newest = put(&*store, "/other", "v").await;
        watch.request_progress();
        let polled = poll_fn(|cx| pin!(watch.next()).poll(cx));
        let signal = timeout(LONG, polled).await.expect("a wake");
        assert_eq!(signal.unwrap().unwrap(), Signal::Progress(newest));
    }
}

/// Several writers at once; answers all revisions.
async fn write_all(store: &Arc<dyn Store>) -> Vec<Revision> {
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut revisions = Vec::new();
            for at in 0..WRITES {
                let key = format!("/w/{writer}/{}", at % 7);
                revisions.push(put(&*store, &key, "v").await);
            }
            revisions
        })
    });
    let written = join_all(writers).await;
    written
        .into_iter()
        .flat_map(|ended| ended.unwrap())
        .collect()
}

async fn take(watch: &mut store::Watch, count: usize) -> Vec<Revision> {
    let mut revisions = Vec::new();
    while revisions.len() < count {
        revisions.push(next(watch).await.revision());
    }
    revisions
}
