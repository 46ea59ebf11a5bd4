//! What is promised of the past.

use std::sync::Arc;

use store::{Error, Range, Revision, Store};

use crate::{delete, next, put, read};

pub async fn older_revisions_read_as_they_were(store: Arc<dyn Store>) {
    let one = put(&*store, "/a", "1").await;
    let two = put(&*store, "/b", "2").await;
    let three = put(&*store, "/a", "3").await;
    let four = delete(&*store, "/b").await;
    let five = put(&*store, "/b", "5").await;
    let at = |revision| read(&*store, Range::prefix("/").at(revision));
    assert_eq!(at(one).await, ["/a=1"]);
    assert_eq!(at(two).await, ["/a=1", "/b=2"]);
    assert_eq!(at(three).await, ["/a=3", "/b=2"]);
    assert_eq!(at(four).await, ["/a=3"]);
    assert_eq!(at(five).await, ["/a=3", "/b=5"]);
}

pub async fn compacted_revisions_are_refused_and_later_ones_kept(store: Arc<dyn Store>) {
    let gone = put(&*store, "/k", "1").await;
    let kept = put(&*store, "/k", "2").await;
    let last = put(&*store, "/k", "3").await;
    store.compact(kept).await.unwrap();
    assert_eq!(store.oldest(), kept);
    let range = Range::prefix("/k").at(gone);
    for error in [
        store.range(range).await.unwrap_err(),
        store.watch(b"/k", gone).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Compacted { wanted, oldest } if wanted == gone && oldest == kept),
            "{error}"
        );
    }
    assert_eq!(read(&*store, Range::prefix("/k").at(kept)).await, ["/k=2"]);
    let mut watch = store.watch(b"/k", kept).await.unwrap();
    let change = next(&mut watch).await;
    assert_eq!(change.revision(), last);
    assert_eq!(change.previous().unwrap().value, "2");
}

pub async fn compacting_again_or_less_changes_nothing(store: Arc<dyn Store>) {
    let early = put(&*store, "/k", "1").await;
    let kept = put(&*store, "/k", "2").await;
    for before in [kept, kept, early, Revision(0)] {
        store.compact(before).await.unwrap();
        assert_eq!(store.oldest(), kept, "after {before}");
    }
}

pub async fn future_revisions_are_refused(store: Arc<dyn Store>) {
    put(&*store, "/k", "1").await;
    let wanted = Revision(store.revision().0 + (1 << 40));
    for error in [
        store
            .range(Range::prefix("/k").at(wanted))
            .await
            .unwrap_err(),
        store.watch(b"/k", wanted).await.unwrap_err(),
        store.compact(wanted).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Future { .. }), "{error}");
    }
}
