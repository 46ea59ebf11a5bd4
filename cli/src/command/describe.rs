//! `skiff describe`: an object in words, with what happened to it.

mod events;
mod fields;

use std::process::ExitCode;

use clap::Args;

use crate::client::ClientFlags;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, encode};

#[derive(Args)]
pub struct Describe {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE [NAME...], or TYPE/NAME...
    #[arg(required = true, value_name = "TYPE[/NAME]")]
    what: Vec<String>,

    /// Only those with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
}

impl Describe {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let mut is_first = true;
        for target in cluster.targets(&self.what)? {
            for object in self.objects(&cluster, &target).await? {
                if !std::mem::take(&mut is_first) {
                    println!("\n");
                }
                print!("{}", fields::describe(&object));
                print!("{}", events::describe(&cluster, &object).await?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn objects(
        &self,
        cluster: &Cluster,
        target: &Target,
    ) -> anyhow::Result<Vec<serde_json::Value>> {
        let mut path = cluster.path(
            &target.resource,
            Some(&cluster.namespace),
            target.name.as_deref(),
        );
        if target.name.is_some() {
            return Ok(vec![cluster.get(&path).await?]);
        }
        if let Some(selector) = &self.selector {
            path.push_str(&format!("?labelSelector={}", encode(selector)));
        }
        let mut list = cluster.get(&path).await?;
        let items = list["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        let with_kind = |mut item: serde_json::Value| {
            item["kind"] = target.resource.kind.clone().into();
            item["apiVersion"] = target.resource.api_version().into();
            item
        };
        let objects: Vec<_> = items.into_iter().map(with_kind).collect();
        if objects.is_empty() {
            eprintln!("No resources found in {} namespace.", cluster.namespace);
        }
        Ok(objects)
    }
}
