//! What the server does for its store: compacts it, hands out backups of it,
//! and tells how full it is.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use futures::stream;
use http::{HeaderValue, Response, StatusCode};
use store::{Alarm, Revision, Store};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::body::Body;
use crate::registry::store_failure;
use crate::respond;

/// As kube-apiserver's `--etcd-compaction-interval`: a list may be continued and
/// a watch resumed for so long at least.
const COMPACT_EVERY: Duration = Duration::from_secs(300);

/// Forgets history that is older than one interval, or two at most, until `stop`.
pub async fn compact(store: Arc<dyn Store>, stop: CancellationToken) {
    let mut before = store.revision();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(COMPACT_EVERY) => {}
        }
        before = compact_once(&*store, before).await;
    }
}

/// Answers the revision to compact next time.
async fn compact_once(store: &dyn Store, before: Revision) -> Revision {
    let next = store.revision();
    if let Err(error) = store.compact(before).await {
        tracing::warn!(%error, %before, "compact the store");
    }
    next
}

/// All there is at one revision, for `skiff snapshot save`. Who may have it is
/// for the authorizer: a GET of a path that no default role but the
/// administrator's has.
pub async fn snapshot(api: &Api) -> Result<Response<Body>, Status> {
    let backup = api.store.backup().await.map_err(store_failure)?;
    tracing::info!(revision = %backup.revision(), "a backup of the store is taken");
    let pieces = stream::iter(backup.map(|piece| Ok(piece.into())));
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(respond::with(StatusCode::OK, kind, Body::stream(pieces)))
}

/// Why the store takes no writes at all; a full one still takes deletes.
pub fn failure(store: &dyn Store) -> Option<&'static str> {
    let alarm = store.state()?.alarm?;
    (alarm == Alarm::Stopped)
        .then_some("the store's disk failed: check the disk, then restart skiff")
}

/// How full the store is, in Prometheus' text form.
pub fn metrics(store: &dyn Store, out: &mut String) {
    let Some(state) = store.state() else { return };
    let mut gauge = |name: &str, help: &str, value: u64| {
        let _ = write!(
            out,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
        );
    };
    gauge(
        "skiff_store_live_bytes",
        "Bytes of all keys and values that are there now.",
        state.live,
    );
    gauge(
        "skiff_store_quota_bytes",
        "How many there may be (--store-quota); 0 is no bound.",
        state.quota.unwrap_or(0),
    );
    gauge(
        "skiff_store_alarm_no_space",
        "1 while new objects are refused because the quota is used up.",
        u64::from(state.alarm == Some(Alarm::NoSpace)),
    );
    gauge(
        "skiff_store_alarm_stopped",
        "1 when the disk failed and no write is taken until a restart.",
        u64::from(state.alarm == Some(Alarm::Stopped)),
    );
}

#[cfg(test)]
mod tests {
    use store::{Expect, Log, Options, Value};

    use super::*;

    #[tokio::test]
    async fn compaction_keeps_what_is_younger_than_an_interval() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), Options::default()).unwrap();
        let put = async || {
            let put = log.put(b"/k", Value::plain("v"), Expect::Any).await;
            put.unwrap().modified
        };
        let before = compact_once(&*log, log.revision()).await;
        let first = put().await;
        let before = compact_once(&*log, before).await;
        assert_eq!((log.oldest(), before), (Revision(0), first));
        put().await;
        compact_once(&*log, before).await;
        assert_eq!(log.oldest(), first);
    }

    #[tokio::test]
    async fn metrics_tell_how_full_the_store_is() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            quota: Some(4),
            ..Options::default()
        };
        let log = Log::open(dir.path(), options).unwrap();
        log.put(b"/k", Value::plain("v"), Expect::Any)
            .await
            .unwrap();
        let full = log.put(b"/l", Value::plain("v"), Expect::Any).await;
        full.unwrap_err();
        let mut text = String::new();
        metrics(&*log, &mut text);
        for line in [
            "skiff_store_live_bytes 3\n",
            "skiff_store_quota_bytes 4\n",
            "skiff_store_alarm_no_space 1\n",
            "skiff_store_alarm_stopped 0\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(failure(&*log), None, "reads and deletes go on");
    }
}
