//! `skiff describe`: an object in words, with what happened to it.

mod config_map;
mod containers;
mod events;
mod fields;
mod node;
mod page;
mod pod;
mod service;
mod volumes;
mod workload;

pub use page::Page;

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::client::ClientFlags;
use crate::cluster::select::Target;
use crate::cluster::{Cluster, encode, text};
use crate::print;

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

    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,

    /// Tell what happened to it
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    show_events: bool,
}

impl Describe {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let targets = cluster.targets(&self.what)?;
        let (mut errors, mut shown) = (Vec::new(), 0);
        for target in &targets {
            match self.objects(&cluster, target).await {
                Ok(objects) => {
                    for object in objects {
                        if shown > 0 {
                            print::out("\n\n");
                        }
                        shown += 1;
                        print::out(&self.describe(&cluster, &object).await?);
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if shown == 0 && errors.is_empty() {
            let is_namespaced = targets.iter().any(|t| t.resource.namespaced);
            if is_namespaced && !self.all_namespaces {
                eprintln!("No resources found in {} namespace.", cluster.namespace);
            } else {
                eprintln!("No resources found");
            }
        }
        Ok(super::finish(&errors))
    }

    async fn objects(&self, cluster: &Cluster, target: &Target) -> anyhow::Result<Vec<Value>> {
        let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
        let mut path = cluster.path(&target.resource, namespace, target.name.as_deref());
        if target.name.is_some() {
            return Ok(vec![cluster.get(&path).await?]);
        }
        if let Some(selector) = &self.selector {
            path.push_str(&format!("?labelSelector={}", encode(selector)));
        }
        let mut list = cluster.get(&path).await?;
        let items = list["items"].as_array_mut().map(std::mem::take);
        let with_kind = |mut item: Value| {
            item["kind"] = target.resource.kind.clone().into();
            item["apiVersion"] = target.resource.api_version().into();
            item
        };
        Ok(items
            .unwrap_or_default()
            .into_iter()
            .map(with_kind)
            .collect())
    }

    async fn describe(&self, cluster: &Cluster, object: &Value) -> anyhow::Result<String> {
        let mut page = match page(cluster, object).await? {
            Some(page) => page,
            None => fields::describe(object),
        };
        // Nothing happens to these.
        let is_still = ["Secret"].contains(&text(object, "/kind"));
        if self.show_events && !is_still {
            events::describe(cluster, object, &mut page).await?;
        }
        Ok(page.text())
    }
}

/// The page of a kind that has one of its own.
async fn page(cluster: &Cluster, object: &Value) -> anyhow::Result<Option<Page>> {
    let namespace = text(object, "/metadata/namespace");
    let name = text(object, "/metadata/name");
    let page = match (text(object, "/apiVersion"), text(object, "/kind")) {
        ("v1", "Pod") => pod::describe(object),
        ("v1", "ConfigMap") => config_map::describe(object),
        ("v1", "Secret") => config_map::secret(object),
        ("apps/v1", "Deployment") => {
            let sets = format!("/apis/apps/v1/namespaces/{namespace}/replicasets");
            workload::deployment(object, &owned(cluster, &sets, object).await?)
        }
        ("apps/v1", "ReplicaSet") => {
            let pods = format!("/api/v1/namespaces/{namespace}/pods");
            workload::replica_set(object, &owned(cluster, &pods, object).await?)
        }
        ("v1", "Service") => {
            let label = encode(&format!("kubernetes.io/service-name={name}"));
            let slices = format!(
                "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector={label}"
            );
            service::describe(object, &items(cluster, &slices).await?)
        }
        ("v1", "Node") => {
            let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
            let lease = cluster.find(&format!("{lease}/{name}")).await?;
            let here = encode(&format!("spec.nodeName={name}"));
            let pods = items(cluster, &format!("/api/v1/pods?fieldSelector={here}")).await?;
            let pods: Vec<Value> = pods.into_iter().filter(node::holds).collect();
            node::describe(object, lease.as_ref(), &pods)
        }
        _ => return Ok(None),
    };
    Ok(Some(page))
}

async fn items(cluster: &Cluster, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut list = cluster.get(path).await?;
    let items = list["items"].as_array_mut().map(std::mem::take);
    Ok(items.unwrap_or_default())
}

/// What `owner` controls of the objects at `path`.
async fn owned(cluster: &Cluster, path: &str, owner: &Value) -> anyhow::Result<Vec<Value>> {
    let mut items = items(cluster, path).await?;
    let uid = &owner["metadata"]["uid"];
    items.retain(|item| {
        let owners = item["metadata"]["ownerReferences"].as_array();
        owners.is_some_and(|o| {
            o.iter()
                .any(|o| &o["uid"] == uid && o["controller"] == true)
        })
    });
    Ok(items)
}

/// A workload's template, as `rollout history --revision` shows it.
pub fn template(template: &Value) -> String {
    let mut page = Page::default();
    pod::template(&mut page, template);
    page.text()
}

#[cfg(test)]
mod tests;
