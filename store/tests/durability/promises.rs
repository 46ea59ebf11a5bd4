//! The contract of `Store`, kept by the log, and what the log adds to it.

use std::sync::Arc;

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
