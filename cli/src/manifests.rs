//! The manifests directory: what its files say is what the cluster has.
//!
//! Files are applied by server-side apply when the server starts and whenever
//! they change; objects that no file names any more are deleted. A file that
//! cannot be applied is tried again, keeps no other from being applied, and
//! loses nothing that it once made.
//!
//! What a file made is recorded in the cluster before it is made ([`record`]),
//! so a server that is killed at any moment forgets nothing. An object belongs
//! to its file by an annotation: without it, it is left alone.

mod file;
mod folder;
mod record;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use tokio_util::sync::CancellationToken;

use self::file::Appliance;
use self::folder::{Folder, Text};
use self::record::Records;
use crate::cluster::Cluster;

/// Where the machine's own server looks unless it is told otherwise.
pub const DIR: &str = "/etc/skiff/manifests";

/// Writers of several files are given this long to write them all.
const SETTLE: Duration = Duration::from_millis(200);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Keeps the cluster as the files of `dir` say, until `shutdown`.
pub async fn keep(dir: PathBuf, owner: String, client: Client, shutdown: CancellationToken) {
    let events = events::Events::new();
    let appliance = Appliance {
        recorder: events.recorder_on("skiff-manifests", &owner),
        records: Records::new(client.clone(), owner),
    };
    let keeper = Keeper {
        folder: Folder::new(dir),
        client: client.clone(),
        appliance,
        applied: BTreeMap::new(),
    };
    let telling = events.run(client, shutdown.clone());
    let keeping = shutdown.run_until_cancelled(keeper.run());
    tokio::join!(telling, keeping);
}

struct Keeper {
    folder: Folder,
    client: Client,
    appliance: Appliance,
    /// What was applied without an error, by file.
    applied: BTreeMap<String, Text>,
}

impl Keeper {
    async fn run(mut self) {
        let mut delay = FIRST_RETRY;
        loop {
            let mut changes = self.folder.watch();
            let is_done = match self.sync().await {
                Ok(is_done) => is_done,
                Err(error) => {
                    let dir = self.folder.path().display();
                    tracing::warn!("apply the manifests in {dir}: {error:#}");
                    false
                }
            };
            if is_done {
                delay = FIRST_RETRY;
                changes.next().await;
                tokio::time::sleep(SETTLE).await;
            } else {
                // A change is tried at once, and what failed with it.
                if tokio::time::timeout(delay, changes.next()).await.is_ok() {
                    tokio::time::sleep(SETTLE).await;
                }
                delay = (delay * 2).min(LONGEST_RETRY);
            }
        }
    }

    /// One pass over all files; true if nothing is left to be tried again.
    async fn sync(&mut self) -> anyhow::Result<bool> {
        let Some(files) = self.folder.read()? else {
            return Ok(true);
        };
        let mut is_done = true;
        self.appliance.records.load().await?;
        let gone = self.appliance.records.files_without(files.keys());
        if files
            .iter()
            .all(|(name, text)| self.applied.get(name) == Some(text))
            && gone.is_empty()
        {
            return Ok(true);
        }
        let mut cluster = Cluster::of(self.client.clone()).await?;
        for (name, text) in files {
            if self.applied.get(&name) == Some(&text) {
                continue;
            }
            self.applied.remove(&name);
            if self.appliance.apply(&mut cluster, &name, &text).await {
                self.applied.insert(name, text);
            } else {
                is_done = false;
            }
        }
        for name in gone {
            self.applied.remove(&name);
            is_done &= self.appliance.remove(&cluster, &name).await;
        }
        Ok(is_done)
    }
}
