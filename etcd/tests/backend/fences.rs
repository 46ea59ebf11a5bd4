//! Writes of a leader after another took over.

use store::{Error, Expect, Fence, Store, Value, fence};
use store_etcd::{Config, Etcd};

use crate::member::{self, Cluster};

const OFFICE: &[u8] = b"/leaders/a";

async fn take_office(store: &Etcd, who: &str) -> Fence {
    let value = Value::plain(who.to_owned());
    let entry = store.put(OFFICE, value, Expect::Any).await.unwrap();
    Fence {
        key: entry.key,
        at: entry.modified,
    }
}

fn is_deposed<T>(written: Result<T, Error>) -> bool {
    matches!(written, Err(Error::Deposed { .. }))
}

#[tokio::test]
async fn leader_writes_until_another_has_taken_over_and_nothing_after() {
    if !member::is_there() {
        return;
    }
    let cluster = Cluster::start(1).await;
    let config = Config::new(cluster.urls());
    let (a, b) = (
        Etcd::connect(&config).await.unwrap(),
        Etcd::connect(&config).await.unwrap(),
    );
    let first = take_office(&a, "a").await;
    let put = |key: &'static str, expect| {
        let put = a.put(key.as_bytes(), Value::plain("v"), expect);
        fence::within(first.clone(), put)
    };
    let made = put("/pods/1", Expect::Absent).await.unwrap();
    put("/pods/1", Expect::At(made.modified)).await.unwrap();
    // What was expected of the key itself is still told.
    let conflict = put("/pods/1", Expect::Absent).await.unwrap_err();
    let Error::Conflict {
        current: Some(entry),
    } = conflict
    else {
        panic!("{conflict:?}");
    };
    assert_eq!(entry.key, "/pods/1");

    let second = take_office(&b, "b").await;
    assert!(second.at > first.at);
    assert!(is_deposed(put("/pods/2", Expect::Absent).await));
    assert!(is_deposed(put("/pods/1", Expect::Any).await));
    let delete = fence::within(first.clone(), a.delete(b"/pods/1", Expect::Any));
    assert!(is_deposed(delete.await));
    assert!(b.get(b"/pods/2").await.unwrap().is_none());
    let by_b = b.delete(b"/pods/1", Expect::At(entry.modified));
    fence::within(second, by_b).await.unwrap();
    // Whoever writes for nobody's office is not held to one.
    let free = a.put(b"/pods/3", Value::plain("v"), Expect::Absent);
    free.await.unwrap();
    a.close().await;
    b.close().await;
}
