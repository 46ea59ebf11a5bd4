//! From etcd into the data directory.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use store::backup::{self, Incoming, Summary};
use store::disk::Local;
use store::{Entry, Log, Options, Range, Store};
use store_etcd::Etcd;

use super::{check_authority, tell};
use crate::data_dir::DataDir;
use crate::datastore::{self, DatastoreFlags};
use crate::instance::Instance;

/// A key for each server that runs.
const SERVERS: &str = "/registry/masterleases/";
/// They renew them every ten seconds.
const RENEWED_WITHIN: Duration = Duration::from_secs(15);

pub async fn run(instance: &Instance, flags: &DatastoreFlags) -> anyhow::Result<()> {
    let dir = instance.store_dir();
    let _lock = DataDir::open(&instance.data_dir)?;
    ensure!(
        !dir.exists(),
        "{} holds a store already: nothing was changed; move it away, or choose another --data-dir",
        instance.data_dir.display()
    );
    let etcd = Etcd::connect(&flags.config()).await;
    let etcd = etcd.context("open the datastore")?;
    let known = datastore::authority(&*etcd).await?;
    check_authority(instance, known.as_deref())?;
    check_quiet(&etcd).await?;

    let incoming = Room::new(instance)?;
    let moved = incoming.receive(&etcd).await?;
    incoming.compare(&etcd).await?;
    incoming.put_in_place(instance)?;
    let host = nix::unistd::gethostname().unwrap_or_default();
    let to = format!(
        "{} of {}",
        instance.data_dir.display(),
        host.to_string_lossy()
    );
    etcd.leave(&to).await.context(
        "the store is in the data directory now, but that could not be noted in etcd: \
         let no server start on that etcd any more",
    )?;
    etcd.close().await;

    tell(
        &format!("moved into {}", instance.data_dir.display()),
        &moved,
    );
    println!("next, without --datastore-endpoints:");
    println!("  skiff server --data-dir {}", instance.data_dir.display());
    if !instance.pki_dir().exists() {
        println!(
            "  (copy the pki directory of one of the cluster's servers to {} first, or nodes must join anew)",
            instance.pki_dir().display()
        );
    }
    Ok(())
}

/// Refuses to move what a server works on.
async fn check_quiet(etcd: &Etcd) -> anyhow::Result<()> {
    let before = servers(etcd).await?;
    if before.is_empty() {
        return Ok(());
    }
    println!(
        "a server was on this etcd not long ago: waiting {} s to see whether it still is",
        RENEWED_WITHIN.as_secs()
    );
    tokio::time::sleep(RENEWED_WITHIN).await;
    let now = servers(etcd).await?;
    let Some(alive) = now.iter().find(|entry| !before.contains(entry)) else {
        return Ok(());
    };
    let name = alive.key.strip_prefix(SERVERS.as_bytes());
    bail!(
        "the server at {} runs on this etcd: stop all servers first (nothing was changed)",
        String::from_utf8_lossy(name.unwrap_or_default())
    );
}

async fn servers(etcd: &Etcd) -> Result<Vec<Entry>, store::Error> {
    Ok(etcd.range(Range::prefix(SERVERS)).await?.entries)
}

/// Where the store is until it is whole; gone when this is dropped.
struct Room(PathBuf);

impl Room {
    fn new(instance: &Instance) -> anyhow::Result<Self> {
        let dir = instance.data_dir.join("store-incoming");
        // What a move that was killed has left.
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", dir.display()));
            }
            _ => {}
        }
        pki::private_file::make_dir(&dir)?;
        Ok(Self(dir))
    }

    fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    async fn receive(&self, etcd: &Etcd) -> anyhow::Result<Summary> {
        let backup = etcd.backup().await.context("read the datastore")?;
        let (file, dir) = (self.0.join("snapshot"), self.store());
        let received = tokio::task::spawn_blocking(move || {
            let mut incoming = Incoming::create(Arc::new(Local), &file)?;
            for piece in backup {
                incoming.write(&piece)?;
            }
            incoming.finish()?;
            // Revisions go on as they are: nobody writes to the etcd any more.
            backup::restore(&Local, &file, &dir, 0)
        });
        Ok(received.await??)
    }

    /// Also finds out whether somebody wrote meanwhile.
    async fn compare(&self, etcd: &Etcd) -> anyhow::Result<()> {
        let dir = self.store();
        let log = tokio::task::spawn_blocking(move || Log::open(dir, Options::default()));
        let log = log.await??;
        let difference = store_etcd::difference(etcd, &*log).await?;
        log.close().await;
        if let Some(difference) = difference {
            bail!(
                "{difference}: something was written while the store was moved, so a server still runs; \
                 stop all servers and try again (nothing was changed)"
            );
        }
        Ok(())
    }

    fn put_in_place(&self, instance: &Instance) -> anyhow::Result<()> {
        let sync = |dir: &Path| {
            let synced = File::open(dir).and_then(|dir| dir.sync_all());
            synced.with_context(|| format!("sync {}", dir.display()))
        };
        sync(&self.store())?;
        let to = instance.store_dir();
        fs::rename(self.store(), &to)
            .with_context(|| format!("rename {} to {}", self.store().display(), to.display()))?;
        sync(&instance.data_dir)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What is left is removed by the next move.
        let _ = fs::remove_dir_all(&self.0);
    }
}
