//! From the data directory into etcd.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use store::{Log, Options, Revision, Store};

use super::{check_authority, own_authority, tell};
use crate::data_dir::DataDir;
use crate::datastore::{self, DatastoreFlags};
use crate::instance::Instance;

pub async fn run(instance: &Instance, flags: &DatastoreFlags) -> anyhow::Result<()> {
    let dir = instance.store_dir();
    ensure!(
        dir.exists(),
        "{} holds no store that could be moved; is --data-dir right?",
        instance.data_dir.display()
    );
    let _lock = DataDir::open(&instance.data_dir)?;
    let opening = dir.clone();
    let log = tokio::task::spawn_blocking(move || Log::open(opening, Options::default()));
    let log = log.await.context("open the store")??;
    let known = datastore::authority(&*log).await?;
    check_authority(instance, known.as_deref())?;

    let moved = store_etcd::fill(&flags.config(), &*log).await;
    let moved = moved.context("move the store; it is still whole in the data directory")?;
    let left = log.revision();
    log.close().await;
    drop(log);
    let kept = set_aside(instance, left)?;
    note_authority(instance, flags).await?;

    tell("moved into etcd", &moved);
    println!("what it was is kept in {}", kept.display());
    println!("next, with the flags of this command (or in the configuration file):");
    println!(
        "  skiff server --data-dir {} --datastore-endpoints ...",
        instance.data_dir.display()
    );
    Ok(())
}

/// Takes the store's name away, so that no server goes on with it by mistake.
fn set_aside(instance: &Instance, at: Revision) -> anyhow::Result<PathBuf> {
    let kept = instance.moved_store_dir(at);
    let renamed = fs::rename(instance.store_dir(), &kept);
    renamed.with_context(|| {
        format!(
            "the store is in etcd now, but {} cannot be renamed to {}; do that before any server starts",
            instance.store_dir().display(),
            kept.display()
        )
    })?;
    File::open(&instance.data_dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("sync {}", instance.data_dir.display()))?;
    Ok(kept)
}

/// Opens what was moved as a server would.
async fn note_authority(instance: &Instance, flags: &DatastoreFlags) -> anyhow::Result<()> {
    let datastore = flags.open(instance, Options::default()).await?;
    if let Some(own) = own_authority(instance)? {
        datastore.check_authority(&own).await?;
    }
    datastore.close().await;
    Ok(())
}
