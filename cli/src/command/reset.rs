use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use runtime::Runtime;

use crate::data_dir::DataDir;
use crate::instance::{Instance, InstanceFlags};
use crate::preflight;

/// `skiff reset`: leaves the machine as it was before skiff.
#[derive(Args)]
pub struct Reset {
    #[command(flatten)]
    instance: InstanceFlags,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Reset {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        preflight::check_root()?;
        let instance = self.instance.instance()?;
        if !instance.data_dir.exists() && !instance.run_dir.exists() {
            println!(
                "nothing to remove: there is no {}",
                instance.data_dir.display()
            );
            return Ok(ExitCode::SUCCESS);
        }
        if !self.yes && !is_agreed(&instance)? {
            println!("nothing was changed");
            return Ok(ExitCode::FAILURE);
        }
        remove_all(&instance).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Stops all pods, and removes what skiff made on this machine.
pub async fn remove_all(instance: &Instance) -> anyhow::Result<()> {
    // Held to the end, so that no skiff starts on what is being removed.
    let _data_dir = DataDir::open(&instance.data_dir)?;
    remove_pods(instance).await?;
    netproxy::remove_everything(&instance.bridge, &instance.network_dir())
        .await
        .context("remove the pod network")?;
    remove_dirs(instance)?;
    println!(
        "removed all pods, interfaces, routes, cgroups and {}",
        instance.data_dir.display()
    );
    Ok(())
}

pub fn is_agreed(instance: &Instance) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!(
            "this stops all pods and deletes all data of the cluster; say --yes to do it without being asked"
        );
    }
    print!(
        "Stop all pods of this machine and delete {} with all data of the cluster? [y/N] ",
        instance.data_dir.display()
    );
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn remove_pods(instance: &Instance) -> anyhow::Result<()> {
    let config = runtime::Config::new(instance.run_dir.clone(), instance.cgroup_root.clone());
    let runtime = Runtime::open(config)?;
    runtime.remove_everything().await.context("stop the pods")?;
    kubelet::remove_everything(&instance.kubelet_dir(), &instance.log_dir())
        .context("remove the pods' files")
}

/// What is mounted in them is not ours to empty: it is unmounted first.
fn remove_dirs(instance: &Instance) -> anyhow::Result<()> {
    for dir in [&instance.run_dir, &instance.data_dir] {
        kubelet::remove_dir(dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    Ok(())
}
