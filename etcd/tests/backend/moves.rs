//! A store that moves into etcd, and on from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::future::join_all;
use store::{
    Entry, Error, Expect, Log, Options, Page, Range, Revision, Signal, Store, Value, Watch, backup,
};
use store_etcd::{Config, Difference, Etcd, difference, fill};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::member::{self, Cluster};

/// A log of one test, with keys that were written, written again and deleted.
struct Source {
    log: Arc<Log>,
    dir: TempDir,
}

impl Source {
    async fn new(keys: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path().join("store"), Options::default()).unwrap();
        let source = Self { log, dir };
        join_all((0..keys).map(|n| source.put(n, "first"))).await;
        join_all((0..keys).step_by(3).map(|n| source.put(n, "second"))).await;
        source.delete((0..keys).step_by(7)).await;
        source
    }

    /// As objects are: with their revision in them.
    async fn put(&self, n: usize, text: &str) {
        let key = key(n);
        let value = Value::with_revision_at(format!("{text} "), text.len() + 1);
        let put = self.log.put(key.as_bytes(), value, Expect::Any).await;
        put.unwrap();
    }

    /// Also those that are gone already.
    async fn delete(&self, which: impl Iterator<Item = usize>) {
        let keys: Vec<String> = which.map(key).collect();
        let deletes = keys
            .iter()
            .map(|key| self.log.delete(key.as_bytes(), Expect::Any));
        join_all(deletes).await;
    }
}

fn key(n: usize) -> String {
    format!("/registry/things/{n:05}")
}

fn config(cluster: &Cluster) -> Config {
    Config::new(cluster.urls())
}

async fn cause(error: Error) -> String {
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn store_that_is_moved_in_is_the_same_and_its_revisions_go_on() {
    if !member::is_there() {
        return;
    }
    let mut cluster = Cluster::start(1).await;
    let source = Source::new(1500).await;
    let before = source.log.revision();
    let moved = fill(&config(&cluster), &*source.log).await.unwrap();
    assert!(moved.revision > before, "{moved:?} after {before}");
    assert_eq!(moved.keys, source.log.count(b"").await.unwrap());

    let etcd = Etcd::connect(&config(&cluster)).await.unwrap();
    assert_eq!(difference(&*source.log, &*etcd).await.unwrap(), None);
    assert!(etcd.newest().await.unwrap() >= moved.revision);
    // What was before is history that is forgotten.
    for from in [Revision(1), before] {
        let error = etcd.watch(b"", from).await.unwrap_err();
        assert!(matches!(error, Error::Compacted { .. }), "{error}");
        let range = Range::prefix("/").limit(1).at(from);
        let error = etcd.range(range).await.unwrap_err();
        assert!(matches!(error, Error::Compacted { .. }), "{error}");
    }
    etcd.compact(before).await.unwrap();
    // What follows is told from there on.
    let mut watch = etcd.watch(b"", moved.revision).await.unwrap();
    let put = etcd.put(b"/new", Value::with_revision_at("v", 1), Expect::Absent);
    let put = put.await.unwrap();
    assert!(put.modified > moved.revision);
    assert_eq!(put.value, format!("v{}", put.modified));
    let change = loop {
        if let Signal::Change(change) = watch.next().await.unwrap().unwrap() {
            break change;
        }
    };
    assert_eq!((change.revision(), change.key()), (put.modified, &put.key));
    etcd.close().await;

    cluster.members[0].kill();
    cluster.members[0].start();
    cluster.wait_until_it_answers().await;
    let etcd = Etcd::connect(&config(&cluster)).await.unwrap();
    assert_eq!(
        difference(&*source.log, &*etcd).await.unwrap(),
        Some(Difference::Surplus { key: "/new".into() })
    );
    assert_eq!(etcd.get(b"/new").await.unwrap(), Some(put));
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_entry_is_written_on_top_of_the_revision_that_it_came_with() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let source = Source::new(10).await;
    fill(&config(&cluster), &*source.log).await.unwrap();
    let (a, b) = (
        Etcd::connect(&config(&cluster)).await.unwrap(),
        Etcd::connect(&config(&cluster)).await.unwrap(),
    );
    let key = key(1);
    let key = key.as_bytes();
    let known = source.log.get(key).await.unwrap().unwrap();
    let put = |store: Arc<Etcd>, expect| async move {
        store
            .put(b"/registry/things/00001", Value::plain("by me"), expect)
            .await
    };
    let is_told = |error: Error, current: &Entry| match error {
        Error::Conflict { current: found } => assert_eq!(found.as_ref(), Some(current)),
        error => panic!("{error:?}"),
    };
    let mut watch = b.watch(b"/registry", b.revision()).await.unwrap();
    is_told(put(a.clone(), Expect::Absent).await.unwrap_err(), &known);
    let other = Expect::At(Revision(known.modified.0 + 1));
    is_told(put(a.clone(), other).await.unwrap_err(), &known);
    let written = put(a.clone(), Expect::At(known.modified)).await.unwrap();
    assert!(written.modified > source.log.revision());
    // Once: of two that know it the second one is told.
    is_told(
        put(b.clone(), Expect::At(known.modified))
            .await
            .unwrap_err(),
        &written,
    );
    let change = loop {
        if let Signal::Change(change) = watch.next().await.unwrap().unwrap() {
            break change;
        }
    };
    assert_eq!(change.previous(), Some(&known));

    let second = source
        .log
        .get(b"/registry/things/00002")
        .await
        .unwrap()
        .unwrap();
    let deleted = b.delete(&second.key, Expect::At(second.modified)).await;
    assert_eq!(deleted.unwrap().0, second);
    let gone = b.delete(&second.key, Expect::At(second.modified)).await;
    assert!(matches!(gone, Err(Error::NotFound)), "{gone:?}");
    let put = b.put(&second.key, Value::plain(""), Expect::At(second.modified));
    let gone = put.await.unwrap_err();
    assert!(
        matches!(gone, Error::Conflict { current: None }),
        "{gone:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn store_goes_from_log_to_etcd_and_back_and_in_again() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let source = Source::new(300).await;
    // One whose revisions are far beyond those of etcd.
    let far = carried(&*source.log, source.dir.path(), backup::BUMP).await;
    let moved = fill(&config(&cluster), &*far).await.unwrap();
    assert!(moved.revision > far.revision() && moved.revision.0 < far.revision().0 + 1000);
    let etcd = Etcd::connect(&config(&cluster)).await.unwrap();
    let last = etcd
        .put(b"/last", Value::plain("v"), Expect::Any)
        .await
        .unwrap();

    let back = tempfile::tempdir().unwrap();
    let log = carried(&*etcd, back.path(), 0).await;
    assert_eq!(difference(&*etcd, &*log).await.unwrap(), None);
    assert!(log.revision() >= last.modified);
    etcd.leave("the log").await.unwrap();
    let next = log
        .put(b"/next", Value::plain("v"), Expect::Any)
        .await
        .unwrap();
    assert!(next.modified > last.modified);

    // Nobody takes what is there for the store any more, but another move.
    let error = cause(Etcd::connect(&config(&cluster)).await.unwrap_err()).await;
    assert!(error.contains("moved to the log"), "{error}");
    let again = fill(&config(&cluster), &*log).await.unwrap();
    assert!(again.revision > log.revision());
    let etcd = Etcd::connect(&config(&cluster)).await.unwrap();
    assert_eq!(difference(&*log, &*etcd).await.unwrap(), None);
}

/// The same in a log of its own, `bump` revisions later.
async fn carried(store: &dyn Store, dir: &std::path::Path, bump: u64) -> Arc<Log> {
    let file = dir.join("file");
    let mut incoming = backup::Incoming::create(Arc::new(store::disk::Local), &file).unwrap();
    for piece in store.backup().await.unwrap() {
        incoming.write(&piece).unwrap();
    }
    incoming.finish().unwrap();
    let to = dir.join("carried");
    backup::restore(&store::disk::Local, &file, &to, bump).unwrap();
    Log::open(to, Options::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn store_that_left_goes_on_in_etcd_when_the_operator_says_so() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let etcd = Etcd::connect(&config(&cluster)).await.unwrap();
    let put = etcd
        .put(b"/k", Value::plain("v"), Expect::Any)
        .await
        .unwrap();
    etcd.leave("elsewhere").await.unwrap();
    // Told already.
    assert!(etcd.leave("elsewhere").await.is_err());
    let error = cause(Etcd::connect(&config(&cluster)).await.unwrap_err()).await;
    let (_, words) = error.split_once("put `").unwrap();
    let (words, key) = words.split_once("` at the key ").unwrap();
    let mut client = etcd_client::Client::connect(cluster.urls(), None)
        .await
        .unwrap();
    client.put(key, words, None).await.unwrap();
    let etcd = Etcd::connect(&config(&cluster)).await.unwrap();
    assert_eq!(etcd.get(b"/k").await.unwrap().unwrap(), put);
    etcd.put(b"/k", Value::plain("w"), Expect::At(put.modified))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn place_that_holds_a_store_is_refused_and_left_as_it_was() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let source = Source::new(5).await;
    let own = Etcd::connect(&config(&cluster)).await.unwrap();
    let put = own
        .put(b"/k", Value::plain("v"), Expect::Any)
        .await
        .unwrap();
    let error = cause(fill(&config(&cluster), &*source.log).await.unwrap_err()).await;
    assert!(error.contains("there is a store already"), "{error}");
    let own = Etcd::connect(&config(&cluster)).await.unwrap();
    assert_eq!(own.range(Range::prefix("")).await.unwrap().entries, [put]);

    let beside = Config {
        prefix: "/beside".into(),
        ..config(&cluster)
    };
    fill(&beside, &*source.log).await.unwrap();
    let error = cause(fill(&beside, &*source.log).await.unwrap_err()).await;
    assert!(error.contains("there is a store already"), "{error}");
    let etcd = Etcd::connect(&beside).await.unwrap();
    assert_eq!(difference(&*source.log, &*etcd).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn move_that_was_cut_short_is_no_store_and_is_begun_anew() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let source = Source::new(2500).await;
    let broken = Hooked::new(&source, Hook::FailAt(3));
    let error = fill(&config(&cluster), &broken).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    let error = cause(Etcd::connect(&config(&cluster)).await.unwrap_err()).await;
    assert!(error.contains("cut short"), "{error}");

    // The source has changed since: nothing of the first attempt may be left.
    source.delete(0..400).await;
    fill(&config(&cluster), &*source.log).await.unwrap();
    let etcd = Etcd::connect(&config(&cluster)).await.unwrap();
    assert_eq!(difference(&*source.log, &*etcd).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_moves_into_one_place_the_later_is_whole_and_the_first_fails() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let (one, other) = (Source::new(2500).await, Source::new(40).await);
    let waits = Arc::new(Notify::new());
    let slow = Hooked::new(&one, Hook::WaitAt(3, waits.clone()));
    let first = {
        let config = config(&cluster);
        tokio::spawn(async move { fill(&config, &slow).await })
    };
    // The second one takes over wherever the first is.
    loop {
        let mut client = etcd_client::Client::connect(cluster.urls(), None)
            .await
            .unwrap();
        let options = etcd_client::GetOptions::new()
            .with_prefix()
            .with_count_only();
        if client.get("/skiff/", Some(options)).await.unwrap().count() > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    fill(&config(&cluster), &*other.log).await.unwrap();
    waits.notify_one();
    let error = cause(first.await.unwrap().unwrap_err()).await;
    assert!(error.contains("another move"), "{error}");
    let etcd = Etcd::connect(&config(&cluster)).await.unwrap();
    assert_eq!(difference(&*other.log, &*etcd).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_that_etcd_does_not_take_is_named() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let source = Source::new(5).await;
    let large = Value::plain(vec![b'x'; 3 << 20]);
    let put = source.log.put(b"/large", large, Expect::Any).await;
    put.unwrap();
    let error = cause(fill(&config(&cluster), &*source.log).await.unwrap_err()).await;
    assert!(
        error.contains("/skiff/large") && error.contains("--max-request-bytes"),
        "{error}"
    );
}

/// A source that something happens to.
struct Hooked {
    log: Arc<Log>,
    hook: Hook,
    pages: AtomicUsize,
}

enum Hook {
    FailAt(usize),
    WaitAt(usize, Arc<Notify>),
}

impl Hooked {
    fn new(source: &Source, hook: Hook) -> Self {
        Self {
            log: source.log.clone(),
            hook,
            pages: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl Store for Hooked {
    fn revision(&self) -> Revision {
        self.log.revision()
    }

    async fn newest(&self) -> Result<Revision, Error> {
        self.log.newest().await
    }

    fn oldest(&self) -> Revision {
        self.log.oldest()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        self.log.get(key).await
    }

    async fn range(&self, range: Range) -> Result<Page, Error> {
        let page = self.pages.fetch_add(1, Ordering::Relaxed);
        match &self.hook {
            Hook::FailAt(at) if page == *at => {
                return Err(Error::Closed {
                    dir: "source".into(),
                });
            }
            Hook::WaitAt(at, notify) if page == *at => notify.notified().await,
            _ => {}
        }
        self.log.range(range).await
    }

    async fn count(&self, prefix: &[u8]) -> Result<u64, Error> {
        self.log.count(prefix).await
    }

    async fn put(&self, key: &[u8], value: Value, expect: Expect) -> Result<Entry, Error> {
        self.log.put(key, value, expect).await
    }

    async fn delete(&self, key: &[u8], expect: Expect) -> Result<(Entry, Revision), Error> {
        self.log.delete(key, expect).await
    }

    async fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, Error> {
        self.log.watch(prefix, from).await
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        self.log.compact(before).await
    }
}
