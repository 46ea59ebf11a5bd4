use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::client::ClientFlags;
use crate::log::LogFlags;
use crate::shutdown;

/// `skiff hollow-nodes`: nodes that run pods in name only, to measure with.
#[derive(Args)]
pub struct HollowNodes {
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    log: LogFlags,

    /// How many nodes
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    nodes: u32,

    /// What the nodes are named before their number
    #[arg(long, default_value = "hollow-", value_name = "TEXT")]
    name_prefix: String,

    /// CPUs that each node offers
    #[arg(long, default_value = "32", value_name = "AMOUNT")]
    cpu: String,

    /// Memory that each node offers
    #[arg(long, default_value = "256Gi", value_name = "AMOUNT")]
    memory: String,

    /// Pods that each node holds
    #[arg(long, default_value_t = 110, value_name = "N")]
    max_pods: usize,

    /// Zones that the nodes are in, in turn
    #[arg(long, default_value_t = 3, value_name = "N")]
    zones: usize,

    /// Let pods that may end, as those of Jobs, succeed after this many seconds
    #[arg(long, value_name = "SECONDS")]
    finish_after: Option<u64>,
}

impl HollowNodes {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        self.log.start()?;
        let (client, _, url) = self.client.connect().await?;
        let count = self.nodes;
        let config = hollow::Config {
            nodes: usize::try_from(count)?,
            prefix: self.name_prefix,
            cpu: self.cpu,
            memory: self.memory,
            pods: self.max_pods,
            zones: self.zones,
            finish_after: self.finish_after.map(Duration::from_secs),
        };
        let ready = || println!("{count} hollow nodes at {url}; end with ^C");
        hollow::run(config, client, shutdown::on_signal()?, ready)
            .await
            .with_context(|| format!("hollow nodes at {url}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
