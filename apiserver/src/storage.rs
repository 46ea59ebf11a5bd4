//! What the server does for its store: compacts it, hands out backups of it,
//! and tells how full it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use futures::stream;
use http::{HeaderValue, Response, StatusCode};
use metrics::{Kind, Labels, Text};
use store::{Alarm, Revision, Store};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Call};
use crate::authz::{Action, Attributes};
use crate::body::Body;
use crate::registry::store_failure;
use crate::{keys, respond};

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

/// All there is at one revision, for `skiff snapshot save`. That a role allows the
/// path is not enough: who may not read all Secrets must not have them this way.
pub async fn snapshot(api: &Api, call: &Call) -> Result<Response<Body>, Status> {
    let secrets = Attributes::new("list", Action::cluster("secrets"));
    api.authz.check(&call.user, &secrets).await?;
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

/// How full the store is, by etcd's names and, for what etcd does not have, ours.
pub fn metrics(store: &dyn Store, text: &mut Text) {
    let mut gauge = |name: &str, help: &str, value: u64| text.only(name, Kind::Gauge, help, value);
    gauge(
        "etcd_debugging_mvcc_current_revision",
        "The current revision of store.",
        store.revision().0,
    );
    gauge(
        "etcd_debugging_mvcc_compact_revision",
        "The revision of the last compaction in store.",
        store.oldest().0,
    );
    let Some(state) = store.state() else { return };
    gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Bytes of all keys and values that are there now.",
        state.live,
    );
    gauge(
        "etcd_server_quota_backend_bytes",
        "How many there may be (--store-quota); 0 is no bound.",
        state.quota.unwrap_or(0),
    );
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

/// How many objects there are of each resource, where that is known without
/// asking another process.
pub async fn objects(api: &Api, text: &mut Text) {
    if api.store.is_shared() {
        return;
    }
    let name = "apiserver_resource_objects";
    let help = "Number of stored objects at the time of last check split by kind.";
    text.head(name, Kind::Gauge, help);
    let table = api.resources.table();
    let mut counted = BTreeSet::new();
    for served in table.all() {
        let Some(prefix) = served.prefix() else {
            continue;
        };
        if !counted.insert(prefix) {
            continue;
        }
        let Ok(count) = api.store.count(&keys::kind(prefix)).await else {
            continue;
        };
        let labels = [("group", served.group()), ("resource", served.plural())];
        text.sample(name, &Labels::new(&labels), count);
    }
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
        let mut text = Text::new();
        metrics(&*log, &mut text);
        for line in [
            "skiff_store_live_bytes 3\n",
            "skiff_store_quota_bytes 4\n",
            "skiff_store_alarm_no_space 1\n",
            "skiff_store_alarm_stopped 0\n",
        ] {
            assert!(text.as_str().contains(line), "{}", text.as_str());
        }
        assert_eq!(failure(&*log), None, "reads and deletes go on");
    }
}
