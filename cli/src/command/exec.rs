use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;

use super::session::{self, Streams};
use super::workload;
use crate::client::ClientFlags;
use crate::cluster::{Cluster, text};

/// `skiff exec`: run a command in a container.
#[derive(Args)]
pub struct Exec {
    #[command(flatten)]
    client: ClientFlags,

    /// POD, or TYPE/NAME for a pod of a workload
    #[arg(value_name = "POD|TYPE/NAME")]
    what: String,

    /// Container to run in [default: the first, or the one that is annotated so]
    #[arg(short, long)]
    container: Option<String>,

    /// Pass stdin on
    #[arg(short = 'i', long)]
    stdin: bool,

    /// Stdin is a terminal
    #[arg(short, long)]
    tty: bool,

    /// A command without -- before it, which is refused with advice
    #[arg(hide = true)]
    misplaced: Vec<String>,

    /// What to run, after --
    #[arg(last = true)]
    command: Vec<String>,
}

impl Exec {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(
            self.misplaced.is_empty(),
            "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead: \
             skiff exec {} -- {}",
            self.what,
            self.misplaced.join(" ")
        );
        ensure!(
            !self.command.is_empty(),
            "you must specify at least one command for the container, after --"
        );
        let cluster = Cluster::connect(&self.client).await?;
        let pod = cluster.pod_of(&self.what).await?;
        let name = text(&pod, "/metadata/name");
        let phase = text(&pod, "/status/phase");
        ensure!(
            !["Succeeded", "Failed"].contains(&phase),
            "cannot exec into a container in a completed pod; current phase is {phase}"
        );
        let container = workload::container(&pod, self.container.as_deref())?;
        let streams = Streams::of(self.stdin, self.tty);
        let code = session::exec(&cluster, (name, &container), &self.command, streams).await?;
        if code != 0 {
            eprintln!("command terminated with exit code {code}");
        }
        // A blocked read of stdin would keep this process from ending.
        std::process::exit(code);
    }
}
