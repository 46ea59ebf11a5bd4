//! etcd keeps every revision until it is told to forget. Each server tells it,
//! at every interval, to forget what was past at the last one: so the past
//! stays readable for an interval at least, however many servers do this.

use std::sync::Weak;
use std::time::Duration;

use store::Store;

use crate::etcd::Etcd;

/// Runs until the store is gone.
pub async fn run(etcd: Weak<Etcd>, every: Duration) {
    let mut past = None;
    loop {
        let Some(store) = etcd.upgrade() else { return };
        match step(&store, past).await {
            Ok(newest) => past = Some(newest),
            Err(error) => tracing::warn!(%error, "compact the datastore"),
        }
        drop(store);
        tokio::time::sleep(every).await;
    }
}

async fn step(
    store: &Etcd,
    past: Option<store::Revision>,
) -> Result<store::Revision, store::Error> {
    if let Some(past) = past {
        store.compact(past).await?;
    }
    store.newest().await
}
