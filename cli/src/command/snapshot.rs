use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use futures::AsyncReadExt;
use http::Request;
use store::backup::{self, Incoming, Summary};
use store::disk::Local;

use crate::client::ClientFlags;
use crate::cluster;
use crate::data_dir::DataDir;
use crate::instance::InstanceFlags;

/// Where the server hands out a backup of its store.
const PATH: &str = "/skiff/v1/snapshot";
const PIECE: usize = 256 * 1024;

/// `skiff snapshot`: backups of what the cluster's server keeps.
#[derive(Subcommand)]
pub enum Snapshot {
    /// Copy all objects of a running cluster, as they are at one moment, into a file
    Save(Save),
    /// Make a server's data directory hold what a saved file holds
    Restore(Restore),
    /// Check a saved file and tell what it holds
    Verify(Verify),
}

#[derive(Args)]
pub struct Save {
    #[command(flatten)]
    client: ClientFlags,

    /// File to write; only its owner may read it, for it holds all Secrets
    file: PathBuf,
}

#[derive(Args)]
pub struct Restore {
    #[command(flatten)]
    instance: InstanceFlags,

    /// How far revisions go up, so that none that a client remembers is given again
    #[arg(long, value_name = "N", default_value_t = backup::BUMP)]
    bump_revision: u64,

    /// File that `skiff snapshot save` wrote
    file: PathBuf,
}

#[derive(Args)]
pub struct Verify {
    /// File that `skiff snapshot save` wrote
    file: PathBuf,
}

impl Snapshot {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Save(save) => save.run().await?,
            Self::Restore(restore) => restore.run().await?,
            Self::Verify(verify) => {
                let path = verify.file.clone();
                let summary = blocking(move || backup::verify(&Local, &path)).await?;
                tell(&format!("{} is whole", verify.file.display()), &summary);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Save {
    async fn run(self) -> anyhow::Result<()> {
        check_target(&self.file)?;
        let (client, _, _) = self.client.connect().await?;
        let request = Request::get(PATH).body(Vec::new())?;
        let answer = client.request_stream(request).await;
        let mut answer = std::pin::pin!(answer.map_err(cluster::refused)?);
        let mut incoming = Incoming::create(Arc::new(Local), &self.file)?;
        let mut piece = vec![0; PIECE];
        loop {
            let read = answer.read(&mut piece).await;
            let read = read.context("receive the snapshot from the API server")?;
            if read == 0 {
                break;
            }
            incoming.write(&piece[..read])?;
        }
        let summary = blocking(move || incoming.finish()).await?;
        tell(&format!("saved {}", self.file.display()), &summary);
        Ok(())
    }
}

/// What a server would be asked for in vain.
fn check_target(file: &Path) -> anyhow::Result<()> {
    ensure!(
        file.file_name().is_some() && !file.is_dir(),
        "{} is a directory; name the file to write",
        file.display()
    );
    Ok(())
}

impl Restore {
    async fn run(self) -> anyhow::Result<()> {
        let instance = self.instance.instance()?;
        let _lock = DataDir::open(&instance.data_dir)?;
        let (file, dir, bump) = (self.file.clone(), instance.store_dir(), self.bump_revision);
        let summary = blocking(move || backup::restore(&Local, &file, &dir, bump)).await?;
        let data_dir = instance.data_dir.display();
        tell(&format!("restored into {data_dir}"), &summary);
        println!("next: skiff server --data-dir {data_dir}");
        if !instance.pki_dir().exists() {
            println!(
                "  (copy the lost server's pki directory to {} first, or nodes must join anew \
                 and service-account tokens be made anew)",
                instance.pki_dir().display()
            );
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, store::Error> + Send + 'static,
) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}

fn tell(what: &str, summary: &Summary) {
    println!(
        "{what}: revision {}, {} objects, {} bytes",
        summary.revision, summary.keys, summary.size
    );
}
