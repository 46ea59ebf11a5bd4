use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, encode, full_name, text};
use crate::manifest;

/// `skiff delete`: remove objects.
#[derive(Args)]
pub struct Delete {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE NAME..., or TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME]")]
    what: Vec<String>,

    /// The objects of a file, a directory, a URL, or - for stdin
    #[arg(short, long, value_name = "SOURCE")]
    filename: Vec<String>,

    /// Look into directories below directories
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Those with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// All of the type in the namespace
    #[arg(long)]
    all: bool,

    /// Seconds that pods are given to end
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<u64>,

    /// Remove at once, with --grace-period=0
    #[arg(long)]
    force: bool,

    /// What becomes of what they own
    #[arg(long, value_enum, default_value = "background")]
    cascade: Cascade,

    /// Return without waiting until they are gone
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    wait: bool,

    /// An object that is not there is no error
    #[arg(long)]
    ignore_not_found: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cascade {
    Background,
    Foreground,
    Orphan,
}

impl Delete {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let mut paths = Vec::new();
        for (target, namespace) in self.targets(&cluster).await? {
            let name = target.name.unwrap_or_default();
            let path = cluster.path(&target.resource, Some(&namespace), Some(&name));
            let deleted = cluster.delete(&path, &self.options()).await;
            if self.ignore_not_found && deleted.as_ref().is_err_and(crate::cluster::is_not_found) {
                continue;
            }
            deleted?;
            let how = if self.force {
                "force deleted"
            } else {
                "deleted"
            };
            println!(
                "{} {how}",
                full_name(&target.resource, &name).replacen('/', " \"", 1) + "\""
            );
            paths.push(path);
        }
        if self.wait {
            for path in paths {
                until_gone(&cluster, &path).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Each with the namespace it is in.
    async fn targets(&self, cluster: &Cluster) -> anyhow::Result<Vec<(Target, String)>> {
        if !self.filename.is_empty() {
            let objects = manifest::read(&self.filename, self.recursive).await?;
            return objects
                .iter()
                .rev()
                .map(|object| of_manifest(cluster, object))
                .collect();
        }
        let mut targets = Vec::new();
        for target in cluster.targets(&self.what)? {
            if target.name.is_some() {
                targets.push((target, cluster.namespace.clone()));
                continue;
            }
            if self.selector.is_none() && !self.all {
                bail!(
                    "resource(s) were provided, but no name was specified; give a name, -l or --all"
                );
            }
            let mut path = cluster.path(&target.resource, Some(&cluster.namespace), None);
            if let Some(selector) = &self.selector {
                path.push_str(&format!("?labelSelector={}", encode(selector)));
            }
            let list = cluster.get(&path).await?;
            for item in list["items"].as_array().into_iter().flatten() {
                let one = Target {
                    resource: target.resource.clone(),
                    name: Some(text(item, "/metadata/name").into()),
                };
                targets.push((one, cluster.namespace.clone()));
            }
        }
        Ok(targets)
    }

    fn options(&self) -> Value {
        let policy = match self.cascade {
            Cascade::Background => "Background",
            Cascade::Foreground => "Foreground",
            Cascade::Orphan => "Orphan",
        };
        let grace = if self.force {
            Some(self.grace_period.unwrap_or(0))
        } else {
            self.grace_period
        };
        let mut options =
            json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy });
        if let Some(seconds) = grace {
            options["gracePeriodSeconds"] = seconds.into();
        }
        options
    }
}

fn of_manifest(cluster: &Cluster, object: &Value) -> anyhow::Result<(Target, String)> {
    let resource = cluster.of_kind(text(object, "/apiVersion"), text(object, "/kind"))?;
    let namespace = match text(object, "/metadata/namespace") {
        "" => cluster.namespace.clone(),
        named => named.to_owned(),
    };
    let name = Some(text(object, "/metadata/name").to_owned());
    Ok((
        Target {
            resource: resource.clone(),
            name,
        },
        namespace,
    ))
}

async fn until_gone(cluster: &Cluster, path: &str) -> anyhow::Result<()> {
    let mut uid = None;
    let mut pause = Duration::from_millis(20);
    while let Some(object) = cluster.find(path).await? {
        // Another object of the same name is not the one we deleted.
        let found = text(&object, "/metadata/uid").to_owned();
        if uid.get_or_insert_with(|| found.clone()) != &found {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    Ok(())
}
