//! What a writer is promised.

use std::sync::Arc;

use futures::future::join_all;
use store::{Error, Expect, Revision, Store, Value};

use crate::{delete, put};

pub async fn a_value_carries_its_own_revision_where_it_left_a_hole(store: Arc<dyn Store>) {
    for _ in 0..2 {
        let value = Value::with_revision_at("v.", 1);
        let entry = store.put(b"/k", value, Expect::Any).await.unwrap();
        assert_eq!(entry.value, format!("v{}.", entry.modified));
        assert_eq!(store.get(b"/k").await.unwrap(), Some(entry));
    }
}

pub async fn a_hole_outside_of_the_value_is_refused(store: Arc<dyn Store>) {
    let value = Value::with_revision_at("v", 2);
    let error = store.put(b"/k", value, Expect::Any).await.unwrap_err();
    assert!(
        matches!(error, Error::BadHole { at: 2, size: 1 }),
        "{error}"
    );
    assert_eq!(store.get(b"/k").await.unwrap(), None);
}

pub async fn a_conflict_tells_what_is_there(store: Arc<dyn Store>) {
    let old = put(&*store, "/k", "old").await;
    let now = put(&*store, "/k", "now").await;
    for expect in [
        Expect::Absent,
        Expect::At(old),
        Expect::At(Revision(0)),
        Expect::At(Revision(1 << 60)),
    ] {
        let put = store.put(b"/k", Value::plain("new"), expect).await;
        let delete = store.delete(b"/k", expect).await;
        for error in [put.unwrap_err(), delete.unwrap_err()] {
            match error {
                Error::Conflict { current } => {
                    let current = current.unwrap();
                    assert_eq!((&current.value[..], current.modified), (&b"now"[..], now));
                }
                error => panic!("{expect:?}: {error}"),
            }
        }
    }
    let put = store.put(b"/none", Value::plain(""), Expect::At(now)).await;
    let error = put.unwrap_err();
    assert!(
        matches!(error, Error::Conflict { current: None }),
        "{error}"
    );
    assert_eq!(store.get(b"/k").await.unwrap().unwrap().value, "now");
}

pub async fn deleting_what_is_not_there_is_not_found_whatever_is_expected(store: Arc<dyn Store>) {
    let there = put(&*store, "/k", "v").await;
    for expect in [Expect::Any, Expect::Absent, Expect::At(there)] {
        let error = store.delete(b"/none", expect).await.unwrap_err();
        assert!(matches!(error, Error::NotFound), "{expect:?}: {error}");
    }
}

pub async fn a_delete_answers_what_it_removed_and_when(store: Arc<dyn Store>) {
    let made = put(&*store, "/k", "v").await;
    let (removed, revision) = store.delete(b"/k", Expect::At(made)).await.unwrap();
    assert_eq!((&removed.value[..], removed.modified), (&b"v"[..], made));
    assert!(revision > made && store.revision() >= revision);
}

pub async fn a_key_made_again_is_a_new_one(store: Arc<dyn Store>) {
    let first = put(&*store, "/k", "1").await;
    delete(&*store, "/k").await;
    let put = store.put(b"/k", Value::plain("2"), Expect::Absent).await;
    let entry = put.unwrap();
    assert!(entry.created > first && entry.created == entry.modified);
}

pub async fn a_changed_key_keeps_its_beginning(store: Arc<dyn Store>) {
    let first = put(&*store, "/k", "1").await;
    let mut last = first;
    for expect in [Expect::Any, Expect::At(first.next())] {
        let entry = store.put(b"/k", Value::plain("v"), expect).await.unwrap();
        assert!(entry.created == first && entry.modified > last);
        last = entry.modified;
    }
}

pub async fn keys_and_values_that_are_too_large_are_refused(store: Arc<dyn Store>) {
    let key = [b"/".as_slice(), &[b'k'; 5000]].concat();
    let value = vec![0; (8 << 20) + 1];
    let long_key = store.put(&key, Value::plain(""), Expect::Any).await;
    let large = store.put(b"/k", Value::plain(value), Expect::Any).await;
    for error in [long_key.unwrap_err(), large.unwrap_err()] {
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }
}

pub async fn of_all_who_create_a_key_one_wins(store: Arc<dyn Store>) {
    let names: Vec<String> = (0..16).map(|n| n.to_string()).collect();
    let creates = names
        .into_iter()
        .map(|name| store.put(b"/k", Value::plain(name), Expect::Absent));
    let made: Vec<_> = join_all(creates).await.into_iter().flatten().collect();
    assert_eq!(made.len(), 1);
    assert_eq!(store.get(b"/k").await.unwrap().as_ref(), made.first());
}

pub async fn each_write_has_a_higher_revision(store: Arc<dyn Store>) {
    let mut last = store.revision();
    for at in 0..20 {
        let revision = if at % 5 == 4 {
            delete(&*store, "/k").await
        } else {
            put(&*store, "/k", "v").await
        };
        assert!(revision > last, "{revision} after {last}");
        last = revision;
    }
}

pub async fn of_all_who_expect_the_same_one_wins_at_a_time(store: Arc<dyn Store>) {
    put(&*store, "/counter", "0").await;
    join_all((0..8).map(|_| tokio::spawn(count_up(Arc::clone(&store), 25))))
        .await
        .into_iter()
        .for_each(|ended| ended.unwrap());
    let entry = store.get(b"/counter").await.unwrap().unwrap();
    assert_eq!(entry.value, "200");
}

async fn count_up(store: Arc<dyn Store>, times: u32) {
    let mut done = 0;
    while done < times {
        let entry = store.get(b"/counter").await.unwrap().unwrap();
        let count: u32 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
        let value = Value::plain((count + 1).to_string());
        match store
            .put(b"/counter", value, Expect::At(entry.modified))
            .await
        {
            Ok(_) => done += 1,
            Err(Error::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
