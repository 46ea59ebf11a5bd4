use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::client::ClientFlags;
use crate::cluster::{APPLY_PATCH, Cluster, encode, full_name, is_conflict, text};
use crate::{manifest, print};

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

    /// As it always is; taken so that kubectl's command lines work
    #[arg(long, hide = true)]
    server_side: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum DryRun {
    Server,
    None,
}

impl Apply {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let objects = manifest::read(&self.filename, self.recursive).await?;
        ensure!(!objects.is_empty(), "no objects passed to apply");
        let cluster = Cluster::connect(&self.client).await?;
        let mut errors = Vec::new();
        for found in &objects {
            // One that fails does not keep the others from being applied.
            if let Err(error) = self.apply(&cluster, &found.object).await {
                errors.push(error);
            }
        }
        Ok(super::finish(&errors))
    }

    async fn apply(&self, cluster: &Cluster, object: &Value) -> anyhow::Result<()> {
        let resource = cluster.of_kind(text(object, "/apiVersion"), text(object, "/kind"))?;
        let name = text(object, "/metadata/name");
        ensure!(
            !name.is_empty(),
            "resource name may not be empty: this {} has no metadata.name, by which apply finds it",
            resource.kind
        );
        let namespace = cluster.namespace_of(object)?;
        let mut path = cluster.path(resource, Some(namespace), Some(name));
        path.push_str(&format!(
            "?fieldManager={}&force={}&fieldValidation=Strict",
            encode(&self.field_manager),
            self.force_conflicts
        ));
        let is_dry = matches!(self.dry_run, Some(DryRun::Server));
        if is_dry {
            path.push_str("&dryRun=All");
        }
        let applied = cluster.patch(&path, APPLY_PATCH, object).await;
        applied.map_err(|error| {
            if is_conflict(&error) {
                advise(&error)
            } else {
                error
            }
        })?;
        let note = if is_dry { " (server dry run)" } else { "" };
        print::out(&format!(
            "{} serverside-applied{note}\n",
            full_name(resource, name)
        ));
        Ok(())
    }
}

/// What to do when others own the fields.
fn advise(error: &anyhow::Error) -> anyhow::Error {
    let refused = error.to_string();
    let message = refused
        .split_once("): ")
        .map_or(refused.as_str(), |(_, message)| message);
    anyhow::anyhow!(
        "{message}\nThese fields were set by somebody else. Either\n\
         * take them over: apply again with --force-conflicts, or\n\
         * leave them to their owners: remove them from the manifest, or\n\
         * share them: give them the value that they have now."
    )
}
