//! The contract of `Store`, kept by the log.

use std::sync::Arc;

use futures::future::join_all;
use store::{Change, Error, Expect, Log, Options, Range, Revision, Signal, Store, Value, Watch};

use super::fake_disk::FakeDisk;

fn open() -> Arc<Log> {
    let disk = Arc::new(FakeDisk::default());
    Log::open_on(disk, "/store", Options::default()).unwrap()
}

async fn put(log: &Log, key: &str, value: &str) -> Revision {
    let value = Value::plain(value.to_owned());
    log.put(key.as_bytes(), value, Expect::Any)
        .await
        .unwrap()
        .modified
}

/// The next change's revision.
async fn next(watch: &mut Watch) -> u64 {
    match watch.next().await.unwrap().unwrap() {
        Signal::Change(change) => change.revision().0,
        Signal::Progress(_) => panic!("nobody asked for progress"),
    }
}

#[tokio::test]
async fn a_value_carries_its_own_revision_where_it_left_a_hole() {
    let log = open();
    for expected in ["v1.", "v2."] {
        let value = Value::with_revision_at("v.", 1);
        let entry = log.put(b"k", value, Expect::Any).await.unwrap();
        assert_eq!(entry.value, expected);
        assert_eq!(log.get(b"k").await.unwrap(), Some(entry));
    }
    let error = log
        .put(b"k", Value::with_revision_at("v", 2), Expect::Any)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::BadHole { at: 2, size: 1 }),
        "{error}"
    );
}

#[tokio::test]
async fn a_conflict_tells_what_is_there() {
    let log = open();
    let there = put(&log, "k", "v").await;
    for expect in [Expect::Absent, Expect::At(Revision(7))] {
        match log
            .put(b"k", Value::plain("new"), expect)
            .await
            .unwrap_err()
        {
            Error::Conflict { current } => assert_eq!(current.unwrap().modified, there),
            error => panic!("{error}"),
        }
    }
    let error = log
        .put(b"other", Value::plain(""), Expect::At(there))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Conflict { current: None }),
        "{error}"
    );
    let error = log.delete(b"other", Expect::At(there)).await.unwrap_err();
    assert!(matches!(error, Error::NotFound), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_who_expect_the_same_one_wins_at_a_time() {
    let log = open();
    put(&log, "counter", "0").await;
    let add = async |log: Arc<Log>| {
        for _ in 0..50 {
            loop {
                let entry = log.get(b"counter").await.unwrap().unwrap();
                let count: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                let value = Value::plain((count + 1).to_string());
                match log.put(b"counter", value, Expect::At(entry.modified)).await {
                    Ok(_) => break,
                    Err(Error::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    join_all((0..8).map(|_| add(Arc::clone(&log)))).await;
    assert_eq!(log.get(b"counter").await.unwrap().unwrap().value, "400");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_begun_amid_writes_has_no_gap_and_no_double() {
    let log = open();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for _ in 0..500 {
                    put(&log, &format!("/w/{writer}"), "x").await;
                }
            })
        })
        .collect();
    let watchers: Vec<_> = (0..20)
        .map(|_| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let from = log.revision();
                let mut watch = log.watch(b"/w/", Revision(from.0 / 2)).await.unwrap();
                for expected in from.0 / 2 + 1..=2000 {
                    assert_eq!(next(&mut watch).await, expected);
                }
            })
        })
        .collect();
    for task in writers.into_iter().chain(watchers) {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn watchers_see_what_was_before() {
    let log = open();
    let mut watch = log.watch(b"k", Revision(0)).await.unwrap();
    put(&log, "k", "1").await;
    put(&log, "k", "2").await;
    log.delete(b"k", Expect::Any).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        if let Signal::Change(change) = watch.next().await.unwrap().unwrap() {
            let is_put = matches!(*change, Change::Put { .. });
            seen.push((is_put, change.previous().map(|entry| entry.value.clone())));
        }
    }
    assert_eq!(
        seen,
        [
            (true, None),
            (true, Some("1".into())),
            (false, Some("2".into()))
        ]
    );
}

#[tokio::test]
async fn progress_is_reported_to_watchers_of_keys_that_do_not_change() {
    let log = open();
    let mut watch = log.watch(b"/quiet/", Revision(0)).await.unwrap();
    let newest = put(&log, "/busy/", "x").await;
    watch.request_progress();
    assert_eq!(
        watch.next().await.unwrap().unwrap(),
        Signal::Progress(newest)
    );
}

#[tokio::test]
async fn compacted_and_future_revisions_are_refused() {
    let log = open();
    for value in ["1", "2", "3"] {
        put(&log, "k", value).await;
    }
    log.compact(Revision(2)).await.unwrap();
    assert_eq!(log.oldest(), Revision(2));
    let page = log.range(Range::prefix("k").at(Revision(2))).await.unwrap();
    assert_eq!(page.entries[0].value, "2");
    for error in [
        log.range(Range::prefix("k").at(Revision(1)))
            .await
            .unwrap_err(),
        log.watch(b"k", Revision(1)).await.unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::Compacted {
                    oldest: Revision(2),
                    ..
                }
            ),
            "{error}"
        );
    }
    for error in [
        log.range(Range::prefix("k").at(Revision(4)))
            .await
            .unwrap_err(),
        log.watch(b"k", Revision(4)).await.unwrap_err(),
        log.compact(Revision(4)).await.unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::Future {
                    newest: Revision(3),
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(
        next(&mut log.watch(b"k", Revision(2)).await.unwrap()).await,
        3
    );
}

#[tokio::test]
async fn a_closed_store_takes_no_writes_ends_watches_and_still_reads() {
    let log = open();
    put(&log, "k", "v").await;
    let mut watch = log.watch(b"k", log.revision()).await.unwrap();
    log.close().await;
    log.close().await;
    let error = log
        .put(b"k", Value::plain(""), Expect::Any)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    assert!(watch.next().await.is_none());
    assert!(log.get(b"k").await.unwrap().is_some());
}

#[tokio::test]
async fn oversized_keys_and_values_are_refused() {
    let log = open();
    let key = vec![b'k'; 5000];
    let value = vec![0; (8 << 20) + 1];
    for error in [
        log.put(&key, Value::plain(""), Expect::Any)
            .await
            .unwrap_err(),
        log.put(b"k", Value::plain(value), Expect::Any)
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
}
