use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::client::ClientFlags;
use crate::cluster::{APPLY_PATCH, Cluster, full_name, text};
use crate::manifest;

/// `skiff apply`: make the cluster have what files say, by server-side apply.
#[derive(Args)]
pub struct Apply {
    #[command(flatten)]
    client: ClientFlags,

    /// File, directory, URL, or - for stdin
    #[arg(short, long, required = true, value_name = "SOURCE")]
    filename: Vec<String>,

    /// Look into directories below directories
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Take fields over that somebody else has set
    #[arg(long)]
    force_conflicts: bool,

    /// Name under which the fields are owned
    #[arg(long, default_value = "skiff", value_name = "NAME")]
    field_manager: String,

    /// Ask the server what would become of it, and change nothing
    #[arg(long, value_enum, value_name = "server")]
    dry_run: Option<DryRun>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DryRun {
    Server,
}

impl Apply {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let objects = manifest::read(&self.filename, self.recursive).await?;
        let cluster = Cluster::connect(&self.client).await?;
        let mut code = ExitCode::SUCCESS;
        for object in &objects {
            // One that fails does not keep the others from being applied.
            if let Err(error) = self.apply(&cluster, object).await {
                eprintln!("{}", super::words(&error));
                code = ExitCode::FAILURE;
            }
        }
        Ok(code)
    }

    async fn apply(&self, cluster: &Cluster, object: &Value) -> anyhow::Result<()> {
        let resource = cluster.of_kind(text(object, "/apiVersion"), text(object, "/kind"))?;
        let name = text(object, "/metadata/name");
        anyhow::ensure!(
            !name.is_empty(),
            "error: {} has no metadata.name, by which apply finds it",
            resource.kind
        );
        let namespace = match text(object, "/metadata/namespace") {
            "" => cluster.namespace.as_str(),
            named => named,
        };
        let path = cluster.path(resource, Some(namespace), Some(name));
        let mut patched = format!(
            "{path}?fieldManager={}&force={}",
            self.field_manager, self.force_conflicts
        );
        if self.dry_run.is_some() {
            patched.push_str("&dryRun=All");
        }
        cluster.patch(&patched, APPLY_PATCH, object).await?;
        let note = if self.dry_run.is_some() {
            " (server dry run)"
        } else {
            ""
        };
        println!("{} serverside-applied{note}", full_name(resource, name));
        Ok(())
    }
}
