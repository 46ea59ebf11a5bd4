//! The store as this server uses it: sealed where the administrator says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use encryption::{Layer, Resource};
use pki::Changes;
use store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Access, Error};

/// Kinds that people encrypt: looked at when nothing is configured.
const OFTEN_SEALED: &[&str] = &["secrets", "configmaps"];

/// How long nothing may be written beside the configuration before it is read:
/// it may be written in several steps.
const SETTLED: Duration = Duration::from_millis(200);

/// Who follows changes of the configuration, and until when.
pub struct Reload<'a> {
    pub stop: &'a CancellationToken,
    pub tasks: &'a TaskTracker,
}

/// # Errors
/// A configuration that cannot be used, or none for a store that needs one.
pub async fn layer(
    store: Arc<dyn Store>,
    access: &Access,
    reload: Reload<'_>,
) -> Result<Arc<dyn Store>, Error> {
    let failed = |source| Error::Encryption { source };
    let Some(path) = access.encryption.as_deref() else {
        let checked = encryption::refuse_sealed(&*store, OFTEN_SEALED).await;
        return checked.map(|()| store).map_err(failed);
    };
    let config = encryption::Config::read(path).map_err(failed)?;
    let resources: Vec<Resource> = kinds::all()
        .iter()
        // Another view of stored objects goes by the name they are stored under.
        .filter(|kind| kind.conversion().is_none())
        .filter_map(|kind| {
            Some(Resource {
                group: kind.group.to_owned(),
                plural: kind.plural.to_owned(),
                prefix: kind.prefix()?.to_owned(),
            })
        })
        .collect();
    if !access.reloads_encryption {
        return Ok(Arc::new(Layer::new(store, config, &resources)));
    }
    let layer = Arc::new(Layer::replaceable(store, config, &resources));
    let watched = Changes::of_whole_files(path).map_err(|source| Error::WatchEncryption {
        path: path.into(),
        source,
    });
    let follow = follow(path.to_owned(), watched?, layer.clone());
    let stop = reload.stop.clone();
    let until_stopped = async move { stop.run_until_cancelled(follow).await };
    reload.tasks.spawn(until_stopped);
    Ok(layer)
}

/// Puts each new configuration in force; one that cannot be used is told, and the
/// old one stays.
async fn follow(path: PathBuf, mut changes: Changes, layer: Arc<Layer>) {
    let mut known = String::new();
    loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text != known {
            replace(&path, &text, &layer);
            known = text;
        }
        if let Err(error) = changes.next().await {
            return tracing::error!(%error, "the encryption configuration is no longer watched");
        }
        settle(&mut changes).await;
    }
}

/// Waits until nothing is written for a moment, or for so long.
async fn settle(changes: &mut Changes) {
    for _ in 0..50 {
        let more = tokio::time::timeout(SETTLED, changes.next()).await;
        if !matches!(more, Ok(Ok(()))) {
            return;
        }
    }
}

fn replace(path: &Path, text: &str, layer: &Layer) {
    let path = path.display();
    match encryption::Config::parse(text) {
        Ok(config) => {
            layer.replace(config);
            tracing::info!(%path, "the encryption configuration is in force as it is now");
        }
        Err(error) => {
            tracing::error!(%error, %path, "the encryption configuration stays as it was");
        }
    }
}
