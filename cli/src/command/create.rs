//! `skiff create`: make objects, from files or from flags.

mod deployment;
mod keyed;

use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::{Cluster, encode, full_name, text, when};
use crate::manifest;
use crate::print::{self, Output};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = false)]
pub struct Create {
    #[command(flatten)]
    client: ClientFlags,

    /// File, directory, URL, or - for stdin
    #[arg(short, long, value_name = "SOURCE")]
    filename: Vec<String>,

    #[command(flatten)]
    how: How,

    #[command(subcommand)]
    what: Option<What>,
}

/// What becomes of an object that a command made up.
#[derive(Args, Clone, Debug, Default)]
pub struct How {
    /// Show the object that would be created; client: without asking the server
    #[arg(long, global = true, value_name = "client|server", value_parser = ["none", "client", "server"])]
    dry_run: Option<String>,

    /// Show the object, as yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, global = true, value_name = "FORMAT", value_parser = print::output)]
    output: Option<Output>,
}

#[derive(Subcommand)]
enum What {
    /// A Deployment of an image
    #[command(visible_alias = "deploy")]
    Deployment(deployment::Deployment),
    /// A Job that runs an image to its end
    Job(deployment::Job),
    /// A namespace
    #[command(visible_alias = "ns")]
    Namespace { name: String },
    /// A service account
    #[command(visible_alias = "sa", name = "serviceaccount")]
    ServiceAccount { name: String },
    /// A ConfigMap of values and files
    #[command(visible_alias = "cm", name = "configmap")]
    ConfigMap(keyed::Keyed),
    /// A Secret of values and files
    #[command(subcommand)]
    Secret(Secret),
}

#[derive(Subcommand)]
enum Secret {
    /// A Secret of any values
    Generic(keyed::Keyed),
}

impl What {
    fn object(&self) -> anyhow::Result<Value> {
        let named = |kind: &str, name: &str| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name } });
        match self {
            Self::Deployment(deployment) => deployment.object(),
            Self::Job(job) => Ok(job.object()),
            Self::Namespace { name } => Ok(named("Namespace", name)),
            Self::ServiceAccount { name } => Ok(named("ServiceAccount", name)),
            Self::ConfigMap(map) => map.config_map(),
            Self::Secret(Secret::Generic(secret)) => secret.secret(),
        }
    }
}

impl Create {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let Some(what) = &self.what else {
            return self.files().await;
        };
        let object = what.object()?;
        let cluster = Cluster::connect(&self.client).await?;
        let created = self.how.create(&cluster, &object, "created").await;
        match (created, what) {
            (Err(error), What::Deployment(_)) => Err(when(error, "failed to create deployment")),
            (created, _) => created.map(|_| ExitCode::SUCCESS),
        }
    }

    async fn files(&self) -> anyhow::Result<ExitCode> {
        ensure!(
            !self.filename.is_empty(),
            "must specify -f SOURCE, or what to create; see `skiff create --help`"
        );
        let found = manifest::read(&self.filename, false).await?;
        ensure!(!found.is_empty(), "no objects passed to create");
        let cluster = Cluster::connect(&self.client).await?;
        let mut errors = Vec::new();
        for found in &found {
            let created = self.how.create(&cluster, &found.object, "created").await;
            if let Err(error) = created {
                errors.push(when(
                    error,
                    &format!("error when creating {:?}", found.source),
                ));
            }
        }
        Ok(super::finish(&errors))
    }
}

impl How {
    /// Creates an object in its own namespace, or the one to act in, and says so.
    pub async fn create(
        &self,
        cluster: &Cluster,
        object: &Value,
        done: &str,
    ) -> anyhow::Result<Value> {
        let resource = cluster.of_kind(text(object, "/apiVersion"), text(object, "/kind"))?;
        let namespace = cluster.namespace_of(object)?;
        let dry = self.dry_run.as_deref().filter(|dry| *dry != "none");
        let made = match dry {
            Some("client") => object.clone(),
            _ => {
                let path = cluster.path(resource, Some(namespace), None);
                let dry = if dry.is_some() { "&dryRun=All" } else { "" };
                let manager = encode("skiff");
                let path = format!("{path}?fieldManager={manager}&fieldValidation=Strict{dry}");
                cluster.create(&path, object).await?
            }
        };
        let name = full_name(resource, text(&made, "/metadata/name"));
        print::out(&match (&self.output, dry) {
            (Some(Output::Name), _) => format!("{name}\n"),
            (Some(Output::Wide | Output::Columns(_)), _) => {
                bail!("objects are shown here with -o yaml, json, name or jsonpath=")
            }
            (Some(output), _) => print::whole(&made, output, false)?,
            (None, Some(dry)) => format!(
                "{name} {done} ({})\n",
                dry.replace("client", "dry run")
                    .replace("server", "server dry run")
            ),
            (None, None) => format!("{name} {done}\n"),
        });
        Ok(made)
    }

    pub fn is_dry(&self) -> bool {
        self.dry_run.as_deref().is_some_and(|dry| dry != "none")
    }
}
