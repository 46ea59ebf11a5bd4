//! A disk that is full or broken while the store runs.

use std::{error::Error as _, sync::Arc};

use store::{Error, Expect, Log, Options, Range, Revision, Store, Value};

use super::fake_disk::FakeDisk;

fn open(disk: &FakeDisk, options: Options) -> Arc<Log> {
    Log::open_on(Arc::new(disk.clone()), "/store", options).unwrap()
}

async fn put(log: &Log, key: &str, value: &str) -> Result<Revision, Error> {
    let value = Value::plain(value.to_owned());
    let entry = log.put(key.as_bytes(), value, Expect::Any).await?;
    Ok(entry.modified)
}

async fn keys(log: &Log) -> Vec<String> {
    let page = log.range(Range::prefix("")).await.unwrap();
    let keys = page
        .entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.key).into_owned());
    keys.collect()
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_space_and_loses_nothing() {
    let disk = FakeDisk::default();
    let log = open(&disk, Options::default());
    put(&log, "a", "before").await.unwrap();
    disk.state().capacity = Some(200);
    let error = put(&log, "b", &"x".repeat(1000)).await.unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert_eq!(keys(&log).await, ["a"]);
    put(&log, "c", "small enough").await.unwrap();
    disk.state().capacity = None;
    assert_eq!(
        put(&log, "d", &"x".repeat(1000)).await.unwrap(),
        Revision(3)
    );
    drop(log);
    let log = open(&disk, Options::default());
    assert_eq!(keys(&log).await, ["a", "c", "d"]);
}

#[tokio::test]
async fn short_writes_are_continued() {
    let disk = FakeDisk::default();
    disk.state().longest_write = Some(7);
    let log = open(&disk, Options::default());
    put(&log, "a", &"x".repeat(100)).await.unwrap();
    drop(log);
    assert_eq!(keys(&open(&disk, Options::default())).await, ["a"]);
}

#[tokio::test]
async fn after_a_failed_sync_no_write_is_taken_and_reads_go_on() {
    let disk = FakeDisk::default();
    let log = open(&disk, Options::default());
    put(&log, "a", "1").await.unwrap();
    disk.state().fail_syncs = true;
    let error = put(&log, "b", "2").await.unwrap_err();
    assert!(error.to_string().contains("restart"), "{error}");
    assert_eq!(
        error.source().unwrap().to_string(),
        "the disk does not answer"
    );
    disk.state().fail_syncs = false;
    let error = put(&log, "c", "3").await.unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    assert_eq!(keys(&log).await, ["a"]);
    drop(log);
    let log = open(&disk, Options::default());
    assert_eq!(keys(&log).await, ["a"]);
    assert_eq!(put(&log, "d", "4").await.unwrap(), Revision(2));
}

#[tokio::test]
async fn after_a_failed_sync_the_log_that_failed_stays() {
    let disk = FakeDisk::default();
    let options = Options {
        snapshot_after: 1,
        ..Options::default()
    };
    let log = open(&disk, options);
    // A new segment has been due since before the failure.
    disk.state().fail_creates = Some("log-");
    put(&log, "a", "1").await.unwrap();
    disk.state().fail_syncs = true;
    put(&log, "b", "2").await.unwrap_err();
    disk.state().fail_creates = None;
    disk.state().fail_syncs = false;
    let before = disk.names();
    for _ in 0..3 {
        let again = log.put(b"a", Value::plain("3"), Expect::Absent).await;
        assert!(matches!(again, Err(Error::Conflict { .. })), "{again:?}");
    }
    let error = put(&log, "c", "4").await.unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    assert_eq!(disk.names(), before);
}

#[tokio::test]
async fn a_write_that_cannot_be_undone_stops_further_writes() {
    let disk = FakeDisk::default();
    let log = open(&disk, Options::default());
    disk.state().capacity = Some(100);
    disk.state().fail_truncates = true;
    let error = put(&log, "b", &"x".repeat(1000)).await.unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
    disk.state().capacity = None;
    disk.state().fail_truncates = false;
    assert!(put(&log, "c", "3").await.is_err());
}

#[tokio::test]
async fn writes_go_on_while_neither_segments_nor_snapshots_can_be_made() {
    let options = Options {
        snapshot_after: 200,
        ..Options::default()
    };
    for broken in ["log-", "snapshot-"] {
        let disk = FakeDisk::default();
        let log = open(&disk, options.clone());
        disk.state().fail_creates = Some(broken);
        for at in 0..50 {
            put(&log, &format!("{at:02}"), "something").await.unwrap();
        }
        disk.state().fail_creates = None;
        for at in 50..100 {
            put(&log, &format!("{at:02}"), "something").await.unwrap();
        }
        drop(log);
        let log = open(&disk, options.clone());
        assert_eq!(keys(&log).await.len(), 100, "without {broken}");
        assert_eq!(log.revision(), Revision(100));
    }
}
