//! A store that holds as much as it may.

use std::sync::Arc;

use store::{Alarm, Error, Expect, Log, Options, Range, Store, Value};

use super::fake_disk::FakeDisk;

const QUOTA: u64 = 10_000;

fn open(disk: &FakeDisk) -> Arc<Log> {
    let options = Options {
        quota: Some(QUOTA),
        ..Options::default()
    };
    Log::open_on(Arc::new(disk.clone()), "/store", options).unwrap()
}

/// Makes 900-byte keys until one is refused; answers how many there are.
async fn fill(log: &Log) -> usize {
    for at in 0.. {
        let value = Value::plain(vec![b'x'; 893]);
        let key = format!("/full{at:02}");
        match log.put(key.as_bytes(), value, Expect::Absent).await {
            Ok(_) => {}
            Err(Error::Quota { used, quota }) => {
                assert_eq!((used, quota), (at as u64 * 900, QUOTA));
                return at;
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("a quota ends it")
}

#[tokio::test]
async fn a_full_store_refuses_new_keys_and_says_what_to_do() {
    let log = open(&FakeDisk::default());
    assert_eq!(fill(&log).await, 11);
    let put = log.put(b"/new", Value::plain(vec![0; 500]), Expect::Any);
    let message = put.await.unwrap_err().to_string();
    for part in ["full", "9900 of 10000", "delete", "--store-quota"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(log.count(b"").await.unwrap(), 11);
    assert_eq!(log.state().unwrap().live, 9900);
}

#[tokio::test]
async fn reads_deletes_and_small_updates_go_on_in_a_full_store() {
    let log = open(&FakeDisk::default());
    fill(&log).await;
    assert_eq!(
        log.range(Range::prefix("")).await.unwrap().entries.len(),
        11
    );
    // A deletion time, as a graceful delete sets it.
    let grown = Value::plain(vec![b'x'; 994]);
    log.put(b"/full01", grown, Expect::Any).await.unwrap();
    let too_much = Value::plain(vec![b'x'; 5000]);
    let error = log
        .put(b"/full01", too_much, Expect::Any)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Quota { .. }), "{error}");
    log.delete(b"/full01", Expect::Any).await.unwrap();
}

#[tokio::test]
async fn the_alarm_is_raised_by_a_refusal_and_ends_when_there_is_room() {
    let log = open(&FakeDisk::default());
    assert_eq!(log.state().unwrap().alarm, None);
    fill(&log).await;
    assert_eq!(log.state().unwrap().alarm, Some(Alarm::NoSpace));
    log.delete(b"/full01", Expect::Any).await.unwrap();
    assert_eq!(log.state().unwrap().alarm, None);
    let value = Value::plain(vec![b'x'; 800]);
    log.put(b"/new", value, Expect::Absent).await.unwrap();
}

#[tokio::test]
async fn what_is_live_is_counted_anew_after_a_restart() {
    let disk = FakeDisk::default();
    let log = open(&disk);
    fill(&log).await;
    log.delete(b"/full01", Expect::Any).await.unwrap();
    let before = log.state().unwrap().live;
    drop(log);
    let log = open(&disk);
    assert_eq!(log.state().unwrap().live, before);
    assert_eq!(log.state().unwrap().alarm, None, "nothing was refused yet");
}

#[tokio::test]
async fn writes_of_one_batch_share_what_room_there_is() {
    let log = open(&FakeDisk::default());
    let puts = (0..40).map(|at| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let value = Value::plain(vec![b'x'; 995]);
            let key = format!("/k{at:02}");
            log.put(key.as_bytes(), value, Expect::Absent).await.is_ok()
        })
    });
    let made = futures::future::join_all(puts).await;
    let made = made.into_iter().filter(|put| *put.as_ref().unwrap());
    assert_eq!(made.count(), 10, "{:?}", log.state());
}
