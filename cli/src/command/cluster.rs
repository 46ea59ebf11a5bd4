//! `skiff cluster`: whole clusters on this machine, from kind's configuration.

mod admin;
mod create;
mod delete;
mod list;
mod load;
mod node;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use ::cluster::{Place, config};
use clap::{Args, Subcommand};

use crate::preflight;

#[derive(Subcommand)]
pub enum Cluster {
    /// Make a cluster, start it, and make it the one that kubectl talks to
    Create(create::Create),
    /// List clusters and their nodes
    #[command(visible_alias = "ls")]
    List(list::List),
    /// End a cluster and remove everything it ever made
    Delete(delete::Delete),
    /// Print a cluster's kubeconfig
    Kubeconfig(list::Kubeconfig),
    /// Start a cluster again, after a stop or a reboot of this machine
    Start(run::Start),
    /// End all processes of a cluster; it can be started again
    Stop(run::Stop),
    /// Switch nodes off and on
    #[command(subcommand)]
    Node(node::Node),
    /// Give something to a cluster's nodes
    #[command(subcommand)]
    Load(load::Load),
    /// Be the process that runs a cluster
    #[command(hide = true)]
    Supervise(run::Supervise),
}

/// Where clusters are.
#[derive(Args, Clone, Debug)]
pub struct Base {
    /// Where clusters of this machine are kept
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/skiff-clusters",
        env = "SKIFF_CLUSTERS_DIR"
    )]
    clusters_dir: PathBuf,
}

/// Which cluster is meant.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// Name of the cluster
    #[arg(long, value_name = "NAME", default_value = config::DEFAULT_NAME)]
    name: String,

    #[command(flatten)]
    base: Base,
}

impl Which {
    fn place(&self) -> anyhow::Result<Place> {
        Ok(Place::new(&self.base.clusters_dir, &self.name)?)
    }
}

impl Cluster {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        preflight::check_root()?;
        match self {
            Self::Create(create) => create.run().await,
            Self::List(list) => list.run().await,
            Self::Delete(delete) => delete.run().await,
            Self::Kubeconfig(kubeconfig) => kubeconfig.run(),
            Self::Start(start) => start.run().await,
            Self::Stop(stop) => stop.run().await,
            Self::Node(node) => node.run().await,
            Self::Load(load) => load.run().await,
            Self::Supervise(supervise) => supervise.run().await,
        }
    }
}
