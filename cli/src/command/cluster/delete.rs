use std::process::ExitCode;

use ::cluster::{Place, kubeconfig};
use clap::Args;

use super::admin::UserFile;
use super::{Which, run};

/// `skiff cluster delete`.
#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    file: UserFile,
}

impl Delete {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let place = self.which.place()?;
        let name = place.name();
        let existed = place.dir().exists();
        if existed {
            remove(&place).await?;
        }
        kubeconfig::forget(&self.file.path()?, name)?;
        if existed {
            println!("cluster {name} is deleted");
        } else {
            println!("there is no cluster {name}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Ends the cluster, and removes all there is of it.
pub async fn remove(place: &Place) -> anyhow::Result<()> {
    run::stop(place).await?;
    let place = place.clone();
    tokio::task::spawn_blocking(move || place.remove()).await??;
    Ok(())
}
