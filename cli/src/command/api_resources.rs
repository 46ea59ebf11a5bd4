use std::process::ExitCode;

use clap::Args;

use crate::client::ClientFlags;
use crate::cluster::{Cluster, Resource};
use crate::print::{self, Tabs};

/// `skiff api-resources`: the types of objects that the server has.
#[derive(Args)]
pub struct ApiResources {
    #[command(flatten)]
    client: ClientFlags,

    /// Leave out the line of column names
    #[arg(long)]
    no_headers: bool,
}

impl ApiResources {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let mut lines = String::new();
        if !self.no_headers {
            lines.push_str("NAME\tSHORTNAMES\tAPIVERSION\tNAMESPACED\tKIND\n");
        }
        let mut shown: Vec<&Resource> = cluster
            .resources()
            .iter()
            .filter(|resource| resource.is_preferred)
            .collect();
        shown.sort_by_key(|resource| (&resource.group, &resource.plural));
        for resource in shown {
            lines.push_str(&format!(
                "{}\t{}\t{}\t{}\t{}\n",
                resource.plural,
                resource.short_names.join(","),
                resource.api_version(),
                resource.namespaced,
                resource.kind
            ));
        }
        print::out(&Tabs::TABLE.align(&lines));
        Ok(ExitCode::SUCCESS)
    }
}
