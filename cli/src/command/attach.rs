use std::process::ExitCode;

use clap::Args;

use super::session::{self, Streams};
use super::workload;
use crate::client::ClientFlags;
use crate::cluster::{Cluster, text};

/// `skiff attach`: join the process of a container.
#[derive(Args)]
pub struct Attach {
    #[command(flatten)]
    client: ClientFlags,

    /// POD, or TYPE/NAME for a pod of a workload
    #[arg(value_name = "POD|TYPE/NAME")]
    what: String,

    /// Container to join [default: the first, or the one that is annotated so]
    #[arg(short, long)]
    container: Option<String>,

    /// Pass stdin on
    #[arg(short = 'i', long)]
    stdin: bool,

    /// Stdin is a terminal
    #[arg(short, long)]
    tty: bool,

    /// Say nothing of our own
    #[arg(short, long)]
    quiet: bool,
}

impl Attach {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let pod = cluster.pod_of(&self.what).await?;
        let name = text(&pod, "/metadata/name");
        let container = workload::container(&pod, self.container.as_deref())?;
        let streams = Streams::of(self.stdin, self.tty);
        if !self.quiet {
            eprintln!("If you don't see a command prompt, try pressing enter.");
        }
        session::attach(&cluster, (name, &container), streams).await?;
        // A blocked read of stdin would keep this process from ending.
        std::process::exit(0);
    }
}
