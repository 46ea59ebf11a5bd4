use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
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
        // Held to the end, so that no skiff starts on what is being removed.
        let _data_dir = DataDir::open(&instance.data_dir)?;
        remove_pods(&instance).await?;
        netproxy::remove_everything(&instance.bridge, &instance.network_dir())
            .await
            .context("remove the pod network")?;
        remove_dirs(&instance)?;
        println!(
            "removed all pods, interfaces, routes, cgroups and {}",
            instance.data_dir.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}

fn is_agreed(instance: &Instance) -> anyhow::Result<bool> {
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
    unmount_below(&instance.data_dir)?;
    unmount_below(&instance.run_dir)
}

/// Volumes in memory are mounts on the host; deepest first.
fn unmount_below(dir: &Path) -> anyhow::Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").context("read the mount table")?;
    let mounts = table.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<&str> = mounts.filter(|at| Path::new(at).starts_with(dir)).collect();
    below.sort_by_key(|at| std::cmp::Reverse(at.len()));
    for at in below {
        nix::mount::umount2(at, nix::mount::MntFlags::MNT_DETACH)
            .with_context(|| format!("unmount {at}"))?;
    }
    Ok(())
}

fn remove_dirs(instance: &Instance) -> anyhow::Result<()> {
    let mut dirs = vec![instance.run_dir.clone(), instance.data_dir.clone()];
    for logs in ["pods", "containers"] {
        dirs.push(instance.log_dir().join(logs));
    }
    for dir in dirs {
        match std::fs::remove_dir_all(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("remove {}", dir.display())),
        }
    }
    Ok(())
}
