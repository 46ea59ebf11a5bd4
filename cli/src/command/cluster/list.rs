use std::process::ExitCode;

use ::cluster::control::{self, Request, State};
use ::cluster::{Error, Place, kubeconfig};
use clap::Args;

use super::{Base, Which, admin};
use crate::print::Tabs;

/// `skiff cluster list`.
#[derive(Args)]
pub struct List {
    /// Only the names of the clusters
    #[arg(long, short)]
    quiet: bool,

    #[command(flatten)]
    base: Base,
}

/// `skiff cluster kubeconfig`.
#[derive(Args)]
pub struct Kubeconfig {
    #[command(flatten)]
    which: Which,
}

impl List {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let places = Place::all(&self.base.clusters_dir)?;
        if self.quiet {
            for place in places {
                println!("{}", place.name());
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut rows = vec![["CLUSTER", "NODE", "STATE", "ADDRESS"].map(str::to_owned)];
        for place in &places {
            rows.extend(nodes(place).await?);
        }
        let lines: Vec<_> = rows.iter().map(|row| row.join("\t")).collect();
        print!("{}", Tabs::TABLE.align(&lines.join("\n")));
        Ok(ExitCode::SUCCESS)
    }
}

async fn nodes(place: &Place) -> anyhow::Result<Vec<[String; 4]>> {
    let row = |node: String, state: &str, address: String| {
        [place.name().to_owned(), node, state.to_owned(), address]
    };
    match control::ask(place, &Request::Status).await {
        Ok(status) => Ok(status
            .nodes
            .into_iter()
            .map(|node| {
                let address = node.address.map(|ip| ip.to_string()).unwrap_or_default();
                row(node.name, word(node.state), address)
            })
            .collect()),
        Err(Error::NotRunning { .. }) => match place.read() {
            Ok(plan) => Ok(plan
                .nodes
                .into_iter()
                .map(|node| row(node.name, word(State::Stopped), String::new()))
                .collect()),
            // A create that was killed at its very beginning.
            Err(_) => Ok(vec![row(String::new(), "incomplete", String::new())]),
        },
        Err(error) => Err(error.into()),
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Running => "running",
        State::Paused => "paused",
    }
}

impl Kubeconfig {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        print!(
            "{}",
            kubeconfig::text(&admin::config(&self.which.place()?)?)
        );
        Ok(ExitCode::SUCCESS)
    }
}
