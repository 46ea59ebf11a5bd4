//! The contract of `Store`, kept by the log, and what the log adds to it.

use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures::FutureExt as _;
use store::{Error, Expect, Log, Options, Revision, Store, Value};

use super::fake_disk::FakeDisk;

async fn open_any() -> Arc<dyn Store> {
    open()
}

store_promises::store_promises!(open_any);

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

#[tokio::test]
async fn revisions_are_dense_and_begin_at_one() {
    let log = open();
    assert_eq!(log.revision(), Revision(0));
    for expected in 1..=3 {
        assert_eq!(put(&log, "k", "v").await, Revision(expected));
    }
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
async fn every_close_waits_for_the_one_under_way() {
    let disk = FakeDisk::default();
    let log = Log::open_on(Arc::new(disk.clone()), "/store", Options::default()).unwrap();
    let (let_through, gate) = mpsc::channel();
    let gate = Arc::new(Mutex::new(gate));
    disk.state().gate = Some(gate.clone());
    let (mut one, mut two) = (pin!(put(&log, "k", "1")), pin!(put(&log, "k", "2")));
    let mut first = pin!(log.close());
    assert!(one.as_mut().now_or_never().is_none());
    while gate.try_lock().is_ok() {
        std::thread::yield_now();
    }
    // The writer is at the gate; these two are what it takes next, together.
    assert!(two.as_mut().now_or_never().is_none());
    assert!(first.as_mut().now_or_never().is_none());
    let_through.send(()).unwrap();
    one.await;
    let a_moment = Duration::from_millis(100);
    // The second time at the latest, the writer takes no requests any more.
    for _ in 0..2 {
        let another = tokio::time::timeout(a_moment, log.close());
        assert!(another.await.is_err(), "a close ended before the write");
    }
    drop(let_through);
    futures::join!(two, first, log.close());
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
