use bytes::Bytes;

use super::*;
use crate::Entry;

fn change(key: &str, revision: u64) -> Arc<Change> {
    let entry = Entry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::new(),
        created: Revision(revision),
        modified: Revision(revision),
    };
    Arc::new(Change::Put {
        entry,
        previous: None,
    })
}

fn join(hub: &Arc<Hub>, prefix: &str) -> Watch {
    let prefix = Bytes::copy_from_slice(prefix.as_bytes());
    let after = hub.published();
    hub.join(prefix, || Ok((Vec::new(), after))).unwrap()
}

/// The revisions that wait for the watcher, and the progress at their end.
async fn drain(watch: &mut Watch) -> (Vec<u64>, u64) {
    let mut revisions = Vec::new();
    watch.request_progress();
    loop {
        match watch.next().await.unwrap().unwrap() {
            Signal::Change(change) => revisions.push(change.revision().0),
            Signal::Progress(revision) => return (revisions, revision.0),
        }
    }
}

#[tokio::test]
async fn each_watcher_gets_the_changes_under_its_prefix() {
    let hub = Arc::new(Hub::new(Revision(0), 100));
    let prefixes = [
        "", "/", "/pods/", "/pods/a", "/pods/a/", "/pods/b", "/pp", "/s", "zz",
    ];
    let mut watches: Vec<Watch> = prefixes.iter().map(|prefix| join(&hub, prefix)).collect();
    let keys = [
        "/pods/a",
        "/pods/a/x",
        "/pods/ab",
        "/services/a",
        "a",
        "/pods/b/x",
        "/p",
        "z",
    ];
    for (at, key) in (1..).zip(keys) {
        hub.publish(&[change(key, at)]);
    }
    for (prefix, watch) in prefixes.iter().zip(&mut watches) {
        let expected = (1..)
            .zip(keys)
            .filter(|(_, key)| key.starts_with(prefix))
            .map(|(at, _)| at)
            .collect();
        assert_eq!(drain(watch).await, (expected, 8), "prefix {prefix:?}");
    }
}

#[tokio::test]
async fn a_slow_watcher_gets_what_was_queued_then_the_error_then_the_end() {
    let hub = Arc::new(Hub::new(Revision(0), 2));
    let mut slow = join(&hub, "");
    for revision in 1..=4 {
        hub.publish(&[change("a", revision)]);
    }
    for revision in 1..=2 {
        let signal = slow.next().await.unwrap().unwrap();
        assert_eq!(signal, Signal::Change(change("a", revision)));
    }
    let error = slow.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Slow { queue: 2 }), "{error}");
    assert!(slow.next().await.is_none());
}

#[tokio::test]
async fn changes_that_came_as_history_do_not_come_again() {
    let hub = Arc::new(Hub::new(Revision(0), 10));
    let history = vec![change("a", 1), change("a", 2)];
    let mut watch = hub
        .join(Bytes::new(), || Ok((history, Revision(2))))
        .unwrap();
    hub.publish(&[change("a", 1), change("a", 2), change("a", 3)]);
    assert_eq!(drain(&mut watch).await, (vec![1, 2, 3], 3));
}

#[tokio::test]
async fn a_dropped_watch_leaves_no_trace() {
    let hub = Arc::new(Hub::new(Revision(0), 10));
    drop((join(&hub, "a"), join(&hub, "a"), join(&hub, "b")));
    assert!(format!("{hub:?}").contains("by_prefix: []"), "{hub:?}");
}

#[tokio::test]
async fn closing_ends_watches_without_an_error() {
    let hub = Arc::new(Hub::new(Revision(0), 10));
    let mut watch = join(&hub, "a");
    hub.close();
    assert!(watch.next().await.is_none());
    assert!(join(&hub, "a").next().await.is_none());
}
