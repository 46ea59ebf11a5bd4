mod from_etcd;
mod into_etcd;

use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, Subcommand, ValueEnum};
use store::backup::Summary;

use crate::datastore::DatastoreFlags;
use crate::instance::{Instance, InstanceFlags};

/// `skiff datastore`: where the cluster's state is kept.
#[derive(Subcommand)]
pub enum Datastore {
    /// Move the state of a stopped cluster from a data directory into etcd, or back
    Migrate(Migrate),
}

#[derive(Args)]
pub struct Migrate {
    #[command(flatten)]
    instance: InstanceFlags,

    /// Where the state is to be from now on
    #[arg(long, value_name = "WHERE")]
    to: Place,

    #[command(flatten)]
    datastore: DatastoreFlags,
}

#[derive(Clone, Copy, ValueEnum)]
enum Place {
    /// On the etcd of --datastore-endpoints
    Etcd,
    /// In the data directory
    DataDir,
}

impl Datastore {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Migrate(migrate) = self;
        let flags = &migrate.datastore;
        ensure!(
            flags.is_external(),
            "--datastore-endpoints is missing: name the etcd, as https://10.0.0.5:2379,https://10.0.0.6:2379"
        );
        let instance = migrate.instance.instance()?;
        match migrate.to {
            Place::Etcd => into_etcd::run(&instance, flags).await?,
            Place::DataDir => from_etcd::run(&instance, flags).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn tell(what: &str, summary: &Summary) {
    println!(
        "{what}: revision {}, {} objects, {} bytes, all compared",
        summary.revision, summary.keys, summary.size
    );
}

/// The fingerprint of the authority that the data directory has, if it has one.
fn own_authority(instance: &Instance) -> Result<Option<String>, pki::Error> {
    let cert = pki::private_file::read(&instance.pki_dir().join("ca.crt"))?;
    cert.map(|cert| pki::fingerprint(&cert)).transpose()
}

/// Refuses a store whose cluster has another authority than the data directory.
fn check_authority(instance: &Instance, known: Option<&str>) -> anyhow::Result<()> {
    let own = own_authority(instance)?;
    let (Some(own), Some(known)) = (own, known) else {
        return Ok(());
    };
    ensure!(
        own == known,
        "the state is of a cluster with another certificate authority than that in {}: \
         replace that directory by a copy of the cluster's, or choose another --data-dir",
        instance.pki_dir().display()
    );
    Ok(())
}
