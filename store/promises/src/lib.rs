//! The contract of [`store::Store`], as tests that any backend must pass; a
//! dev-dependency only.
//!
//! [`store_promises!`] makes one test of each promise:
//!
//! ```ignore
//! async fn open() -> Arc<dyn Store> { /* one that nobody else writes to */ }
//! store_promises::store_promises!(open);
//! ```
//!
//! What is opened may be anything that is [`Opened`].
//!
//! The store need not be at revision zero, nor be the only writer of its
//! revisions: they are only expected to rise.

// A promise that is not kept panics where that shows.
#![expect(clippy::unwrap_used, reason = "all of this is called by tests only")]

pub mod history;
pub mod reads;
pub mod watches;
pub mod writes;

use std::sync::Arc;

use store::{Change, Entry, Expect, Range, Revision, Signal, Store, Value, Watch};

/// What a test is made on; dropped when the test is over.
pub trait Opened {
    /// `None` skips the test; the reason was printed.
    fn store(&self) -> Option<Arc<dyn Store>>;
}

impl Opened for Arc<dyn Store> {
    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(self.clone())
    }
}

/// A store, and what it needs to live.
impl<T> Opened for Option<(Arc<dyn Store>, T)> {
    fn store(&self) -> Option<Arc<dyn Store>> {
        self.as_ref().map(|(store, _)| store.clone())
    }
}

/// Declares a test for each promise; the argument is an async function that
/// opens an empty store.
#[macro_export]
macro_rules! store_promises {
    ($open:path) => {
        $crate::store_promises!($open;
            reads: a_key_reads_as_it_was_last_written,
                a_range_holds_what_is_under_its_prefix_in_order,
                pages_continue_as_of_one_revision_and_count_the_rest,
                counts_are_of_what_is_there_now,
                keys_and_values_may_be_any_bytes,
                the_newest_revision_is_behind_nobodys;
            writes: a_value_carries_its_own_revision_where_it_left_a_hole,
                a_hole_outside_of_the_value_is_refused,
                a_conflict_tells_what_is_there,
                deleting_what_is_not_there_is_not_found_whatever_is_expected,
                a_delete_answers_what_it_removed_and_when,
                a_key_made_again_is_a_new_one,
                a_changed_key_keeps_its_beginning,
                keys_and_values_that_are_too_large_are_refused,
                of_all_who_create_a_key_one_wins,
                each_write_has_a_higher_revision,
                of_all_who_expect_the_same_one_wins_at_a_time;
            watches: a_watcher_sees_each_change_with_what_was_before,
                a_watcher_of_a_prefix_sees_nothing_else,
                a_watch_from_the_past_begins_there,
                a_watch_begun_amid_writes_has_no_gap_and_no_double,
                all_watchers_see_one_order,
                progress_is_reported_to_watchers_of_keys_that_do_not_change,
                progress_comes_after_all_changes_before_it,
                a_cancelled_wait_loses_nothing,
                a_wait_that_is_begun_anew_at_each_wake_is_woken;
            history: older_revisions_read_as_they_were,
                compacted_revisions_are_refused_and_later_ones_kept,
                compacting_again_or_less_changes_nothing,
                future_revisions_are_refused;
        );
    };
    ($open:path; $($module:ident: $($promise:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let opened = $open().await;
                let Some(store) = $crate::Opened::store(&opened) else { return };
                $crate::$module::$promise(store).await;
            }
        )+)+
    };
}

async fn put(store: &dyn Store, key: &str, value: &str) -> Revision {
    let value = Value::plain(value.to_owned());
    let put = store.put(key.as_bytes(), value, Expect::Any).await;
    put.unwrap().modified
}

async fn delete(store: &dyn Store, key: &str) -> Revision {
    store.delete(key.as_bytes(), Expect::Any).await.unwrap().1
}

/// `key=value` of each entry in a range.
async fn read(store: &dyn Store, range: Range) -> Vec<String> {
    let page = store.range(range).await.unwrap();
    page.entries.iter().map(words).collect()
}

fn words(entry: &Entry) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}={}", text(&entry.key), text(&entry.value))
}

async fn next(watch: &mut Watch) -> Arc<Change> {
    match watch.next().await.unwrap().unwrap() {
        Signal::Change(change) => change,
        Signal::Progress(_) => panic!("nobody asked for progress"),
    }
}

/// The changes up to the next progress, and its revision.
async fn drain(watch: &mut Watch) -> (Vec<Arc<Change>>, Revision) {
    watch.request_progress();
    let mut changes = Vec::new();
    loop {
        match watch.next().await.unwrap().unwrap() {
            Signal::Change(change) => changes.push(change),
            Signal::Progress(revision) => return (changes, revision),
        }
    }
}
