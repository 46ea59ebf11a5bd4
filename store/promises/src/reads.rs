//! What a reader is promised.

use std::sync::Arc;

use store::{Expect, Range, Store, Value};

use crate::{delete, put, read};

pub async fn a_key_reads_as_it_was_last_written(store: Arc<dyn Store>) {
    assert_eq!(store.get(b"/a").await.unwrap(), None);
    let first = put(&*store, "/a", "1").await;
    let last = put(&*store, "/a", "2").await;
    let entry = store.get(b"/a").await.unwrap().unwrap();
    assert_eq!((&entry.key[..], &entry.value[..]), (&b"/a"[..], &b"2"[..]));
    assert_eq!((entry.created, entry.modified), (first, last));
    assert!(store.revision() >= last, "who wrote it, sees it");
    delete(&*store, "/a").await;
    assert_eq!(store.get(b"/a").await.unwrap(), None);
}

pub async fn a_range_holds_what_is_under_its_prefix_in_order(store: Arc<dyn Store>) {
    for key in ["/b/2", "/a", "/b/1", "/b", "/c", "/b/10"] {
        put(&*store, key, "v").await;
    }
    assert_eq!(
        read(&*store, Range::prefix("/b/")).await,
        ["/b/1=v", "/b/10=v", "/b/2=v"]
    );
    assert_eq!(read(&*store, Range::prefix("/d")).await, [""; 0]);
    assert_eq!(read(&*store, Range::prefix("")).await.len(), 6);
}

pub async fn pages_continue_as_of_one_revision_and_count_the_rest(store: Arc<dyn Store>) {
    for key in ["/p/a", "/p/b", "/p/c", "/p/d", "/q"] {
        put(&*store, key, "old").await;
    }
    let first = store.range(Range::prefix("/p/").limit(2)).await.unwrap();
    assert_eq!((first.entries.len(), first.more), (2, true));
    assert_eq!(first.remaining, 2);
    put(&*store, "/p/bb", "too late").await;
    put(&*store, "/p/d", "too late").await;
    delete(&*store, "/p/c").await;
    let rest = Range::prefix("/p/").after("/p/b").at(first.revision);
    assert_eq!(
        read(&*store, rest.clone().limit(2)).await,
        ["/p/c=old", "/p/d=old"]
    );
    let page = store.range(rest.limit(2)).await.unwrap();
    assert!(!page.more && page.remaining == 0, "{page:?}");
    assert_eq!(page.revision, first.revision);
}

pub async fn counts_are_of_what_is_there_now(store: Arc<dyn Store>) {
    for key in ["/p/a", "/p/b", "/q"] {
        put(&*store, key, "v").await;
        put(&*store, key, "v").await;
    }
    delete(&*store, "/p/a").await;
    assert_eq!(store.count(b"/p/").await.unwrap(), 1);
    assert_eq!(store.count(b"").await.unwrap(), 2);
    assert_eq!(store.count(b"/none").await.unwrap(), 0);
}

pub async fn keys_and_values_may_be_any_bytes(store: Arc<dyn Store>) {
    let all: Vec<u8> = (0..=255).collect();
    let odd = [&b"/"[..], &all].concat();
    for (key, value) in [(&odd[..], &all[..]), (b"/empty", b""), (b"/\xff\xff", b"v")] {
        let put = store.put(key, Value::plain(value.to_vec()), Expect::Absent);
        put.await.unwrap();
        assert_eq!(store.get(key).await.unwrap().unwrap().value, value);
    }
    let under = store.range(Range::prefix(b"/\xff")).await.unwrap();
    assert_eq!(under.entries.len(), 1);
}

pub async fn the_newest_revision_is_behind_nobodys(store: Arc<dyn Store>) {
    let made = put(&*store, "/k", "v").await;
    assert!(store.newest().await.unwrap() >= made);
    let removed = delete(&*store, "/k").await;
    assert!(store.newest().await.unwrap() >= removed);
    let page = store.range(Range::prefix("/")).await.unwrap();
    assert!(page.revision >= removed);
}
