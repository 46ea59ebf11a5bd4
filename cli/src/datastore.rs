//! Where the cluster's state is kept: in the data directory, or on an etcd
//! cluster that several servers share.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use store::{Expect, Log, Options, Store, Value};
use store_etcd::{Config, Etcd, Tls};

use crate::instance::Instance;

/// Holds the fingerprint of the cluster's certificate authority.
const AUTHORITY: &[u8] = b"/authority";

/// The same on every server of a cluster.
#[derive(Args, Clone, Debug)]
pub struct DatastoreFlags {
    /// etcd servers that keep the cluster's state, as `https://10.0.0.5:2379` [default: a store in the data directory]
    #[arg(long, value_name = "URL,...", value_delimiter = ',')]
    datastore_endpoints: Vec<String>,

    /// Who signed etcd's certificates [default: those the machine trusts]
    #[arg(long, value_name = "FILE", requires = "datastore_endpoints")]
    datastore_cafile: Option<PathBuf>,

    /// What this server shows to etcd
    #[arg(long, value_name = "FILE", requires_all = ["datastore_endpoints", "datastore_keyfile"])]
    datastore_certfile: Option<PathBuf>,

    /// The key of --datastore-certfile
    #[arg(long, value_name = "FILE", requires_all = ["datastore_endpoints", "datastore_certfile"])]
    datastore_keyfile: Option<PathBuf>,

    /// Where in etcd the state lies; clusters that share an etcd have one each
    #[arg(long, value_name = "PREFIX", default_value = Config::PREFIX)]
    datastore_prefix: String,
}

/// The opened store.
pub enum Datastore {
    Log(Arc<Log>),
    Etcd(Arc<Etcd>),
}

impl DatastoreFlags {
    /// `options` are those of a store in the data directory.
    pub async fn open(&self, instance: &Instance, options: Options) -> anyhow::Result<Datastore> {
        if !self.is_external() {
            check_not_moved(instance)?;
            let dir = instance.store_dir();
            let opened = tokio::task::spawn_blocking(move || Log::open(&dir, options));
            return Ok(Datastore::Log(opened.await.context("open the store")??));
        }
        let etcd = Etcd::connect(&self.config()).await;
        Ok(Datastore::Etcd(etcd.context("open the datastore")?))
    }

    /// Whether the state is not in the data directory.
    pub fn is_external(&self) -> bool {
        !self.datastore_endpoints.is_empty()
    }

    pub fn config(&self) -> Config {
        let cert = self.datastore_certfile.clone();
        Config {
            tls: Tls {
                ca: self.datastore_cafile.clone(),
                identity: cert.zip(self.datastore_keyfile.clone()),
            },
            prefix: self.datastore_prefix.clone(),
            ..Config::new(self.datastore_endpoints.clone())
        }
    }
}

/// Whose cluster a store is, by its authority's fingerprint; only what was on an
/// etcd once says so.
pub async fn authority(store: &dyn Store) -> Result<Option<String>, store::Error> {
    let entry = store.get(AUTHORITY).await?;
    Ok(entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned()))
}

/// Refuses to begin with an empty store where there was one that went on in etcd:
/// to nodes that would be a cluster without any pod.
fn check_not_moved(instance: &Instance) -> anyhow::Result<()> {
    let store = instance.store_dir();
    if store.exists() {
        return Ok(());
    }
    let Some(moved) = instance.moved_store()? else {
        return Ok(());
    };
    anyhow::bail!(
        "the store of {} was moved into etcd and is kept as {}: give --datastore-endpoints, or move it back with \
         `skiff datastore migrate --to data-dir`; to go on with what it was when it left, rename it to {}",
        instance.data_dir.display(),
        moved.display(),
        store.display()
    );
}

impl Datastore {
    /// Notes in a shared store which authority its cluster has; refuses to
    /// serve it with another one.
    pub async fn check_authority(&self, fingerprint: &str) -> anyhow::Result<()> {
        let store = self.store();
        if !store.is_shared() {
            return Ok(());
        }
        let value = Value::plain(fingerprint.to_owned());
        match store.put(AUTHORITY, value, Expect::Absent).await {
            Ok(_) => Ok(()),
            Err(store::Error::Conflict { current }) => {
                let known = current.is_some_and(|entry| entry.value == fingerprint);
                ensure!(
                    known,
                    "the datastore belongs to a cluster with another certificate authority than this server's: \
                     replace <data-dir>/pki by a copy of that of the cluster's first server, or choose another --datastore-prefix"
                );
                Ok(())
            }
            Err(error) => Err(error).context("note the cluster's authority in the datastore"),
        }
    }

    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Log(log) => log.clone(),
            Self::Etcd(etcd) => etcd.clone(),
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Log(log) => log.close().await,
            Self::Etcd(etcd) => etcd.close().await,
        }
    }
}
