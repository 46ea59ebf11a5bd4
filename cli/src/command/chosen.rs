//! Which objects a command changes: named, by labels, or all of a type.

use anyhow::{bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::cluster::select::Target;
use crate::cluster::{Cluster, Resource, encode, text};

/// The flags that choose among the objects of a type, as kubectl has them.
#[derive(Args)]
pub struct Chosen {
    /// Those with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,

    /// Those with these values of fields, such as status.phase=Running
    #[arg(long, value_name = "SELECTOR")]
    pub field_selector: Option<String>,

    /// All of the type in the namespace
    #[arg(long)]
    pub all: bool,

    /// In all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// An object and where it is.
pub struct Found {
    pub resource: Resource,
    pub name: String,
    pub path: String,
}

impl Chosen {
    /// The objects that `words` name, or of the types that they name the chosen ones.
    pub async fn find(&self, cluster: &Cluster, words: &[String]) -> anyhow::Result<Vec<Found>> {
        ensure!(
            !words.is_empty(),
            "one or more resources must be specified as <resource> <name> or <resource>/<name>"
        );
        let mut found = Vec::new();
        for target in cluster.targets(words)? {
            match (&target.name, self.is_set()) {
                (Some(_), true) => {
                    bail!("name cannot be provided when a selector is specified")
                }
                (Some(name), false) => {
                    found.push(one(
                        cluster,
                        target.resource.clone(),
                        &cluster.namespace,
                        name,
                    ));
                }
                (None, true) => found.extend(self.list(cluster, &target).await?),
                (None, false) => bail!(
                    "resource(s) were provided, but no name was specified; give a name, -l SELECTOR or --all"
                ),
            }
        }
        Ok(found)
    }

    fn is_set(&self) -> bool {
        self.all || self.selector.is_some() || self.field_selector.is_some()
    }

    async fn list(&self, cluster: &Cluster, kind: &Target) -> anyhow::Result<Vec<Found>> {
        let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
        let mut path = cluster.path(&kind.resource, namespace, None);
        path.push_str(&format!(
            "?labelSelector={}&fieldSelector={}",
            encode(self.selector.as_deref().unwrap_or_default()),
            encode(self.field_selector.as_deref().unwrap_or_default()),
        ));
        let list = cluster.get(&path).await?;
        let of = |item: &Value| {
            let namespace = text(item, "/metadata/namespace");
            one(
                cluster,
                kind.resource.clone(),
                namespace,
                text(item, "/metadata/name"),
            )
        };
        let items = list["items"].as_array().into_iter().flatten();
        Ok(items.map(of).collect())
    }
}

fn one(cluster: &Cluster, resource: Resource, namespace: &str, name: &str) -> Found {
    Found {
        path: cluster.path(&resource, Some(namespace), Some(name)),
        resource,
        name: name.to_owned(),
    }
}
