use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ::cluster::config::{self, Read};
use ::cluster::{Place, Plan, kubeconfig};
use anyhow::{Context, ensure};
use clap::Args;

use super::admin::{self, UserFile};
use super::{Base, delete, run};
use crate::cluster_flags::parse_duration;

/// `skiff cluster create`.
#[derive(Args)]
pub struct Create {
    /// Name of the cluster [default: that of the configuration, else skiff]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// A kind.x-k8s.io/v1alpha4 Cluster; - reads it from standard input [default: one node]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Wait until all nodes are Ready, at most this long
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true,
        default_missing_value = "5m", value_parser = parse_duration)]
    wait: Option<Duration>,

    /// Keep what there is of a cluster that does not start
    #[arg(long)]
    retain: bool,

    #[command(flatten)]
    file: UserFile,

    #[command(flatten)]
    base: Base,
}

impl Create {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let started = Instant::now();
        let Read { plan, notes } = self.read()?;
        for note in notes {
            eprintln!("note: {note}");
        }
        check_mounts(&plan)?;
        let user_file = self.file.path()?;
        let place = Place::new(&self.base.clusters_dir, &plan.name)?;
        place.create(&plan)?;
        if let Err(error) = self.bring_up(&place, &plan, &user_file).await {
            if self.retain {
                return Err(error);
            }
            let logs = run::last_words(&place, &plan);
            delete::remove(&place)
                .await
                .context("take away what was made")?;
            return Err(error.context(logs));
        }
        say(&plan, started, self.wait.is_some());
        Ok(ExitCode::SUCCESS)
    }

    fn read(&self) -> anyhow::Result<Read> {
        let Some(path) = &self.config else {
            let plan = config::default(self.name.as_deref())?;
            return Ok(Read {
                plan,
                notes: Vec::new(),
            });
        };
        let text = if path == Path::new("-") {
            std::io::read_to_string(std::io::stdin()).context("read standard input")?
        } else {
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?
        };
        let here = std::env::current_dir().context("find the current directory")?;
        config::read(&text, self.name.as_deref(), &here)
            .with_context(|| format!("configuration {}", path.display()))
    }

    async fn bring_up(&self, place: &Place, plan: &Plan, file: &Path) -> anyhow::Result<()> {
        run::start(place).await?;
        let client = admin::client(place).await?;
        admin::label_control_plane(client.clone(), plan).await?;
        if let Some(patience) = self.wait {
            admin::wait_ready(client, plan, patience).await?;
        }
        kubeconfig::merge(file, &admin::config(place)?)?;
        Ok(())
    }
}

/// A path with a mistake in it must not become a directory.
fn check_mounts(plan: &Plan) -> anyhow::Result<()> {
    for node in &plan.nodes {
        for mount in &node.mounts {
            let path = mount.host_path.display();
            ensure!(
                mount.host_path.exists(),
                "extraMounts of {}: there is no {path}; make it first",
                node.name
            );
        }
    }
    Ok(())
}

fn say(plan: &Plan, started: Instant, is_ready: bool) {
    let nodes = match plan.nodes.len() {
        1 => "1 node".to_owned(),
        n => format!("{n} nodes"),
    };
    let state = if is_ready { "Ready" } else { "started" };
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "cluster {}: {nodes} {state} after {seconds:.1} s",
        plan.name
    );
    println!("next:");
    let context = kubeconfig::context(&plan.name);
    println!("  kubectl get nodes --context {context}");
    println!("  skiff cluster load image ARCHIVE --name {}", plan.name);
}
