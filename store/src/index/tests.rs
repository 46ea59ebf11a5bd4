use super::*;
use crate::Value;

const ROOMY: Bounds = Bounds {
    changes: 1000,
    bytes: 1 << 20,
};

fn put(index: &mut Index, key: &str, value: &str) -> Revision {
    let revision = index.newest().next();
    let previous = index.get(key.as_bytes());
    let entry = Entry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Value::plain(value.to_owned()).fill(revision),
        created: previous.as_ref().map_or(revision, |entry| entry.created),
        modified: revision,
    };
    index.apply(Arc::new(Change::Put { entry, previous }));
    revision
}

fn delete(index: &mut Index, key: &str) -> Revision {
    let revision = index.newest().next();
    let previous = index.get(key.as_bytes()).expect("the key is there");
    index.apply(Arc::new(Change::Delete {
        key: previous.key.clone(),
        revision,
        previous,
    }));
    revision
}

fn keys_at(index: &Index, at: Revision) -> Vec<String> {
    let page = index.range(&Range::prefix("").at(at)).unwrap();
    page.entries
        .iter()
        .map(|entry| {
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            format!("{key}={}", String::from_utf8_lossy(&entry.value))
        })
        .collect()
}

#[test]
fn older_revisions_read_as_they_were() {
    let mut index = Index::new(Revision(0), ROOMY);
    let one = put(&mut index, "a", "1");
    let two = put(&mut index, "b", "2");
    let three = put(&mut index, "a", "3");
    let four = delete(&mut index, "b");
    let five = put(&mut index, "b", "5");
    assert_eq!(keys_at(&index, one), ["a=1"]);
    assert_eq!(keys_at(&index, two), ["a=1", "b=2"]);
    assert_eq!(keys_at(&index, three), ["a=3", "b=2"]);
    assert_eq!(keys_at(&index, four), ["a=3"]);
    assert_eq!(keys_at(&index, five), ["a=3", "b=5"]);
}

#[test]
fn compaction_keeps_the_revision_it_names() {
    let mut index = Index::new(Revision(0), ROOMY);
    put(&mut index, "a", "1");
    put(&mut index, "b", "2");
    delete(&mut index, "a");
    let kept = put(&mut index, "b", "4");
    put(&mut index, "b", "5");
    assert!(!index.compact(kept, 100));
    assert_eq!(keys_at(&index, kept), ["b=4"]);
    let error = index.range(&Range::prefix("").at(Revision(3))).unwrap_err();
    assert!(
        matches!(error, Error::Compacted { oldest, .. } if oldest == kept),
        "{error}"
    );
}

#[test]
fn a_deleted_key_leaves_nothing_once_compacted() {
    let mut index = Index::new(Revision(0), ROOMY);
    put(&mut index, "a", "1");
    let gone = delete(&mut index, "a");
    assert_eq!(index.keys.len(), 1);
    index.compact(gone, 100);
    assert_eq!(index.keys.len(), 0);
    assert_eq!(index.history_bytes, 0);
}

#[test]
fn history_stays_within_its_bounds() {
    let bounds = Bounds {
        changes: 10,
        bytes: 1 << 20,
    };
    let mut index = Index::new(Revision(0), bounds);
    for value in 0..100 {
        put(&mut index, "a", &value.to_string());
    }
    assert_eq!(index.history.len(), 10);
    assert_eq!(index.oldest(), Revision(90));
    assert_eq!(keys_at(&index, Revision(90)), ["a=89"]);
}

#[test]
fn history_bytes_are_bounded_by_what_changes_supersede() {
    let bounds = Bounds {
        changes: 1000,
        bytes: 10_000,
    };
    let mut index = Index::new(Revision(0), bounds);
    for _ in 0..100 {
        put(&mut index, "a", &"x".repeat(1000));
    }
    assert!(index.history_bytes <= 10_000, "{}", index.history_bytes);
    assert!(index.history.len() >= 8, "{}", index.history.len());
}

#[test]
fn a_pinned_revision_is_not_compacted() {
    let bounds = Bounds {
        changes: 2,
        bytes: 1 << 20,
    };
    let mut index = Index::new(Revision(0), bounds);
    put(&mut index, "a", "1");
    let pinned = index.pin();
    for _ in 0..10 {
        put(&mut index, "a", "later");
    }
    assert_eq!(keys_at(&index, pinned), ["a=1"]);
    index.unpin();
    put(&mut index, "a", "last");
    assert_eq!(index.oldest(), Revision(10));
}

#[test]
fn pages_continue_after_the_last_key_and_count_the_rest() {
    let mut index = Index::new(Revision(0), ROOMY);
    for key in ["p/a", "p/b", "p/c", "p/d", "q/a"] {
        put(&mut index, key, "x");
    }
    let first = index.range(&Range::prefix("p/").limit(2)).unwrap();
    assert_eq!(
        (first.entries.len(), first.more, first.remaining),
        (2, true, 2)
    );
    put(&mut index, "p/e", "too late");
    let rest = Range::prefix("p/").after("p/b").limit(2).at(first.revision);
    let rest = index.range(&rest).unwrap();
    let keys: Vec<&[u8]> = rest.entries.iter().map(|entry| &entry.key[..]).collect();
    assert_eq!(keys, [b"p/c", b"p/d"]);
    assert!(!rest.more);
    assert_eq!(index.count(b"p/"), 5);
}
