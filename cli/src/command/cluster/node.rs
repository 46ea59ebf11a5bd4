//! Switching nodes of a cluster off and on, as if they were machines.

use std::process::ExitCode;

use ::cluster::Place;
use ::cluster::control::{self, Action, Request};
use anyhow::bail;
use clap::{Args, Subcommand};

use super::Base;

#[derive(Subcommand)]
pub enum Node {
    /// Switch a node on
    Start(Named),
    /// Switch a node off: its pods end, its disk stays
    Stop(Named),
    /// Have all processes of a node stand still
    Pause(Named),
    /// Have them go on
    Unpause(Named),
}

#[derive(Args)]
pub struct Named {
    /// Nodes, as `skiff cluster list` shows them
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,

    /// Name of the cluster [default: the one that has such a node]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    base: Base,
}

impl Node {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let (named, action, done) = match self {
            Self::Start(named) => (named, Action::Start, "started"),
            Self::Stop(named) => (named, Action::Stop, "stopped"),
            Self::Pause(named) => (named, Action::Pause, "paused"),
            Self::Unpause(named) => (named, Action::Unpause, "unpaused"),
        };
        for name in &named.nodes {
            let place = named.place_of(name)?;
            let request = Request::Node {
                name: name.clone(),
                action,
            };
            control::ask(&place, &request).await?;
            println!("node {name} {done}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Named {
    fn place_of(&self, node: &str) -> anyhow::Result<Place> {
        let base = &self.base.clusters_dir;
        if let Some(name) = &self.name {
            return Ok(Place::new(base, name)?);
        }
        let has_it = |place: &Place| place.read().is_ok_and(|plan| plan.node(node).is_some());
        match Place::all(base)?.into_iter().find(has_it) {
            Some(place) => Ok(place),
            None => bail!("no cluster has a node {node:?}; see: skiff cluster list"),
        }
    }
}
