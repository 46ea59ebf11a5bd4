//! Events live for an hour. A sweep every few minutes removes older ones.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::{Expect, Range, Store};
use tokio_util::sync::CancellationToken;

use crate::{bytes_json, keys};

const LIFE: SignedDuration = SignedDuration::from_hours(1);
const SWEEP_EVERY: Duration = Duration::from_secs(300);
const PAGE: usize = 500;

/// Runs until `stop`.
pub async fn expire(store: Arc<dyn Store>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SWEEP_EVERY) => {}
        }
        if let Err(error) = sweep(&*store, Timestamp::now()).await {
            tracing::warn!(%error, "remove old events");
        }
    }
}

async fn sweep(store: &dyn Store, now: Timestamp) -> Result<(), store::Error> {
    let prefix = keys::kind("events");
    let mut range = Range::prefix(&prefix).limit(PAGE);
    loop {
        let page = store.range(range.clone()).await?;
        for entry in page
            .entries
            .iter()
            .filter(|entry| is_old(&entry.value, now))
        {
            match store.delete(&entry.key, Expect::At(entry.modified)).await {
                Ok(_) | Err(store::Error::NotFound | store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match page.entries.last().filter(|_| page.more) {
            Some(last) => range = range.after(&last.key),
            None => return Ok(()),
        }
    }
}

/// An event that was counted up lives from its last time.
fn is_old(event: &[u8], now: Timestamp) -> bool {
    let times = [
        &["series", "lastObservedTime"][..],
        &["lastTimestamp"],
        &["metadata", "creationTimestamp"],
    ];
    let newest = times
        .iter()
        .filter_map(|path| apimachinery::time::parse(&bytes_json::scalar_at(event, path)))
        .max();
    newest.is_some_and(|time| now.duration_since(time) > LIFE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_came_again_lives_on() {
        let now: Timestamp = "2026-01-01T03:00:00Z".parse().unwrap();
        let old = br#"{"metadata":{"creationTimestamp":"2026-01-01T01:00:00Z"}}"#;
        let again = br#"{"lastTimestamp":"2026-01-01T02:30:00Z","metadata":{"creationTimestamp":"2026-01-01T01:00:00Z"}}"#;
        assert!(is_old(old, now));
        assert!(!is_old(again, now));
    }
}
