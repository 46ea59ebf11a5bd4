use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use crate::client::ClientFlags;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, MERGE_PATCH, full_name};
use crate::print;

/// `skiff scale`: change how many pods a workload has.
#[derive(Args)]
pub struct Scale {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE NAME..., or TYPE/NAME...
    #[arg(required = true, value_name = "TYPE/NAME")]
    what: Vec<String>,

    /// How many pods it shall have
    #[arg(long)]
    replicas: u32,

    /// Only if it has this many now
    #[arg(long)]
    current_replicas: Option<u64>,
}

impl Scale {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let mut errors = Vec::new();
        for target in cluster.targets(&self.what)? {
            if let Err(error) = self.scale(&cluster, &target).await {
                errors.push(error);
            }
        }
        Ok(super::finish(&errors))
    }

    async fn scale(&self, cluster: &Cluster, target: &Target) -> anyhow::Result<()> {
        let Some(name) = &target.name else {
            bail!("resource name may not be empty; give TYPE/NAME");
        };
        let path = cluster.path(&target.resource, Some(&cluster.namespace), Some(name));
        let path = format!("{path}/scale");
        if let Some(expected) = self.current_replicas {
            let current = cluster.get(&path).await?["spec"]["replicas"]
                .as_u64()
                .unwrap_or(0);
            if current != expected {
                bail!("Expected replicas to be {expected}, was {current}");
            }
        }
        let patch = json!({ "spec": { "replicas": self.replicas } });
        cluster.patch(&path, MERGE_PATCH, &patch).await?;
        print::out(&format!("{} scaled\n", full_name(&target.resource, name)));
        Ok(())
    }
}
