//! What happens when connections and members go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{Change, Error, Expect, Range, Revision, Signal, Store, Value, Watch};
use store_etcd::{Config, Etcd};
use tokio::time::timeout;

use crate::member::{self, Cluster};

const SOON: Duration = Duration::from_secs(20);

async fn connect(cluster: &Cluster) -> Arc<Etcd> {
    let config = Config {
        request_timeout: Duration::from_secs(5),
        ..Config::new(cluster.urls())
    };
    Etcd::connect(&config).await.unwrap()
}

async fn put(store: &Etcd, key: &str, value: &str) -> Result<Revision, Error> {
    let value = Value::plain(value.to_owned());
    let put = store.put(key.as_bytes(), value, Expect::Any).await;
    put.map(|entry| entry.modified)
}

async fn next(watch: &mut Watch) -> Result<Arc<Change>, Error> {
    loop {
        let signal = timeout(SOON, watch.next()).await.expect("a signal in time");
        if let Signal::Change(change) = signal.expect("the store is open")? {
            return Ok(change);
        }
    }
}

/// Writes that every watcher must come to see: key and revision.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<(String, Revision)>,
    in_doubt: Vec<String>,
}

impl Ledger {
    /// Writes keys of their own until `until`; a refused one counts for nothing.
    async fn write(store: Arc<Etcd>, name: &str, until: Instant) -> Self {
        let mut ledger = Self::default();
        for at in 0.. {
            if Instant::now() >= until {
                break;
            }
            let key = format!("/w/{name}/{at:06}");
            match put(&store, &key, "v").await {
                Ok(revision) => ledger.acknowledged.push((key, revision)),
                Err(Error::Unanswered { .. }) => ledger.in_doubt.push(key),
                Err(Error::Unreachable { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        ledger
    }

    /// Every acknowledged write was seen once, in order, and nothing that
    /// nobody wrote.
    fn check(&self, seen: &[(String, Revision)], name: &str) {
        assert!(seen.is_sorted_by_key(|(_, revision)| *revision), "in order");
        let by_key: BTreeMap<_, _> = seen.iter().cloned().collect();
        assert_eq!(by_key.len(), seen.len(), "each once");
        for (key, revision) in &self.acknowledged {
            assert_eq!(by_key.get(key), Some(revision), "{key} was acknowledged");
        }
        let mine = |key: &&String| key.starts_with(&format!("/w/{name}/"));
        let known = |key: &&String| {
            self.in_doubt.contains(key) || self.acknowledged.iter().any(|(k, _)| k == *key)
        };
        assert!(by_key.keys().filter(mine).all(|key| known(&key)));
    }
}

/// What a watcher sees until the key `/end`.
async fn see_all(mut watch: Watch) -> Vec<(String, Revision)> {
    let mut seen = Vec::new();
    loop {
        let change = next(&mut watch).await.unwrap();
        let key = String::from_utf8(change.key().to_vec()).unwrap();
        if key == "/end" {
            return seen;
        }
        seen.push((key, change.revision()));
    }
}

/// Writes for a while as `disturb` happens; checks what watchers of both
/// servers saw.
async fn survive(cluster: &mut Cluster, disturb: impl AsyncFnOnce(&mut Cluster)) -> usize {
    let (a, b) = (connect(cluster).await, connect(cluster).await);
    let from = a.newest().await.unwrap();
    let mut watches = Vec::new();
    for store in [&a, &b] {
        let watch = store.watch(b"", from).await.unwrap();
        watches.push(tokio::spawn(see_all(watch)));
    }
    let until = Instant::now() + Duration::from_secs(8);
    let writers = ["a", "b"].map(|name| {
        let store = if name == "a" { a.clone() } else { b.clone() };
        tokio::spawn(Ledger::write(store, name, until))
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    disturb(cluster).await;
    let mut ledgers = Vec::new();
    for writer in writers {
        ledgers.push(writer.await.unwrap());
    }
    cluster.wait_until_it_answers().await;
    put(&a, "/end", "").await.unwrap();
    for watch in watches {
        let seen = watch.await.unwrap();
        for (ledger, name) in ledgers.iter().zip(["a", "b"]) {
            ledger.check(&seen, name);
        }
    }
    let page = b.range(Range::prefix("/w/")).await.unwrap();
    let there: BTreeMap<_, _> = page.entries.iter().map(|e| (e.key.clone(), e)).collect();
    for (key, revision) in ledgers.iter().flat_map(|ledger| &ledger.acknowledged) {
        assert_eq!(there[key.as_bytes()].modified, *revision);
    }
    let acknowledged: usize = ledgers.iter().map(|l| l.acknowledged.len()).sum();
    let in_doubt: usize = ledgers.iter().map(|l| l.in_doubt.len()).sum();
    println!("{acknowledged} writes acknowledged, {in_doubt} in doubt");
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_is_lost_or_seen_twice_when_etcd_is_killed_and_comes_back() {
    if !member::is_there() {
        return;
    }
    let mut cluster = Cluster::start(1).await;
    let restart = async |cluster: &mut Cluster| {
        for _ in 0..3 {
            cluster.members[0].kill();
            cluster.members[0].start();
            cluster.wait_until_it_answers().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    assert!(survive(&mut cluster, restart).await > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_members_each_may_be_killed_in_turn() {
    if !member::is_there() {
        return;
    }
    let mut cluster = Cluster::start(3).await;
    let in_turn = async |cluster: &mut Cluster| {
        for at in 0..3 {
            cluster.members[at].kill();
            tokio::time::sleep(Duration::from_millis(700)).await;
            cluster.members[at].start();
            cluster.wait_until_it_answers().await;
        }
    };
    assert!(survive(&mut cluster, in_turn).await > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_hangs_is_left_for_another() {
    if !member::is_there() {
        return;
    }
    let mut cluster = Cluster::start(3).await;
    let hang = async |cluster: &mut Cluster| {
        // All clients begin with the first.
        cluster.members[0].freeze();
        tokio::time::sleep(Duration::from_secs(6)).await;
        cluster.members[0].thaw();
    };
    assert!(survive(&mut cluster, hang).await > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_an_answer_is_told_as_in_doubt_and_a_read_as_failed() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let store = connect(&cluster).await;
    put(&store, "/k", "1").await.unwrap();
    cluster.members[0].freeze();
    let began = Instant::now();
    let (write, read) = tokio::join!(put(&store, "/k", "2"), store.get(b"/k"));
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "{:?}",
        began.elapsed()
    );
    let error = write.unwrap_err();
    assert!(matches!(error, Error::Unanswered { .. }), "{error:?}");
    let error = read.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    cluster.members[0].thaw();
    cluster.wait_until_it_answers().await;
    // It was made, and once.
    let entry = store.get(b"/k").await.unwrap().unwrap();
    assert!(entry.value == "2" || entry.value == "1", "{entry:?}");
    assert!(entry.modified.0 - entry.created.0 <= 1, "{entry:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_etcd_a_write_is_told_as_not_made() {
    if !member::is_there() {
        return;
    }
    let mut cluster = Cluster::start(1).await;
    let store = connect(&cluster).await;
    cluster.members[0].kill();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let error = put(&store, "/k", "v").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(
        error.to_string().contains(&cluster.members[0].url),
        "{error}"
    );
    let config = Config {
        request_timeout: Duration::from_secs(1),
        ..Config::new(cluster.urls())
    };
    let error = Etcd::connect(&config).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_are_told_when_etcd_forgot_what_they_have_not_seen() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let store = connect(&cluster).await;
    let from = put(&store, "/k", "0").await.unwrap();
    let mut watch = store.watch(b"/k", from).await.unwrap();
    // What a long time without a connection comes to.
    let other = connect(&cluster).await;
    store.close().await;
    assert!(watch.next().await.is_none());
    for n in 1..5 {
        put(&other, "/k", &n.to_string()).await.unwrap();
    }
    other.compact(other.revision()).await.unwrap();
    let late = connect(&cluster).await;
    let error = late.watch(b"/k", from).await.unwrap_err();
    assert!(matches!(error, Error::Compacted { .. }), "{error}");
    let mut watch = late.watch(b"/k", other.revision()).await.unwrap();
    let made = put(&other, "/k", "5").await.unwrap();
    let change = next(&mut watch).await.unwrap();
    assert_eq!(change.revision(), made);
    assert_eq!(change.previous().unwrap().value, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_read_is_told_and_ended() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let config = Config {
        watch_queue: 10,
        ..Config::new(cluster.urls())
    };
    let store = Etcd::connect(&config).await.unwrap();
    let mut slow = store.watch(b"/", store.revision()).await.unwrap();
    for n in 0..30 {
        put(&store, "/k", &n.to_string()).await.unwrap();
    }
    let mut seen = 0;
    let error = loop {
        match next(&mut slow).await {
            Ok(_) => seen += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Slow { queue: 10 }), "{error}");
    assert_eq!(seen, 10);
    assert!(slow.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_later_serves_watches_of_what_was_before() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let first = connect(&cluster).await;
    let from = put(&first, "/k", "0").await.unwrap();
    let mut expected = Vec::new();
    for n in 1..50 {
        expected.push(put(&first, "/k", &n.to_string()).await.unwrap());
    }
    let second = connect(&cluster).await;
    let mut watch = second.watch(b"/k", from).await.unwrap();
    for revision in expected {
        assert_eq!(next(&mut watch).await.unwrap().revision(), revision);
    }
    let made = put(&first, "/k", "x").await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().revision(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prefixes_on_one_etcd_do_not_meet() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let under = async |prefix: &str| {
        let config = Config {
            prefix: prefix.to_owned(),
            ..Config::new(cluster.urls())
        };
        Etcd::connect(&config).await.unwrap()
    };
    let (one, two) = (under("/skiff").await, under("/skiff2/").await);
    let mut watch = two.watch(b"", two.revision()).await.unwrap();
    put(&one, "/k", "of one").await.unwrap();
    assert_eq!(two.get(b"/k").await.unwrap(), None);
    assert_eq!(two.count(b"").await.unwrap(), 0);
    // Its revisions are of both; what it is told of is its own.
    assert!(two.newest().await.unwrap() == one.revision());
    let made = put(&two, "/k", "of two").await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().revision(), made);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_somebody_else_is_named_and_not_watched() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let store = connect(&cluster).await;
    let mut watch = store.watch(b"", store.revision()).await.unwrap();
    let mut client = etcd_client::Client::connect(cluster.urls(), None)
        .await
        .unwrap();
    client.put("/skiff/k", "{}", None).await.unwrap();
    let error = store.get(b"/k").await.unwrap_err();
    assert!(error.to_string().contains("/skiff/k"), "{error}");
    let error = store.range(Range::prefix("/")).await.unwrap_err();
    assert!(matches!(error, Error::Foreign { .. }), "{error}");
    let made = put(&store, "/other", "v").await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().revision(), made);
    // The operator removes it through skiff as well.
    store.delete(b"/k", Expect::Any).await.unwrap();
    assert_eq!(
        store.range(Range::prefix("/")).await.unwrap().entries.len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_larger_than_one_answer_is_whole_and_of_one_revision() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let store = connect(&cluster).await;
    // 120 MB: more than a message may be.
    let value = Value::plain(vec![b'x'; 1 << 20]);
    for n in 0..120 {
        let key = format!("/big/{n:03}");
        store
            .put(key.as_bytes(), value.clone(), Expect::Absent)
            .await
            .unwrap();
    }
    for n in 0..1500 {
        put(&store, &format!("/small/{n:04}"), "v").await.unwrap();
    }
    let page = store.range(Range::prefix("/")).await.unwrap();
    assert_eq!(page.entries.len(), 1620);
    assert!(page.entries.is_sorted_by_key(|entry| entry.key.clone()));
    assert!(!page.more && page.remaining == 0);
    let page = store
        .range(Range::prefix("/small/").limit(1200))
        .await
        .unwrap();
    assert_eq!(
        (page.entries.len(), page.more, page.remaining),
        (1200, true, 300)
    );
    // A start reads all of that as changes, which etcd sends in pieces.
    let late = connect(&cluster).await;
    let mut watch = late.watch(b"/", store.revision()).await.unwrap();
    let made = put(&store, "/k", "v").await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap().revision(), made);
    assert!(late.oldest() < made, "and keeps what it may");
    // A value that etcd does not take.
    let value = Value::plain(vec![b'x'; 2 << 20]);
    let error = store.put(b"/k", value, Expect::Any).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}
