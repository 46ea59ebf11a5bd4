use std::process::ExitCode;

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};

use super::chosen::{Chosen, Found};
use super::key_values::DryRun;
use crate::client::ClientFlags;
use crate::cluster::{Cluster, MERGE_PATCH};
use crate::print;

/// `skiff cordon` and `skiff uncordon`: whether nodes take new pods.
#[derive(Args)]
pub struct Cordon {
    #[command(flatten)]
    client: ClientFlags,

    /// The nodes
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,

    /// Those with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// Only say what would be done
    #[arg(long, value_name = "client|server", num_args = 0..=1, default_missing_value = "client")]
    dry_run: Option<DryRun>,
}

/// What a node is to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Cordoned,
    Uncordoned,
}

impl Cordon {
    pub async fn run(self, wanted: Wanted) -> anyhow::Result<ExitCode> {
        let cluster = Cluster::connect(&self.client).await?;
        let mut errors = Vec::new();
        for node in chosen(&cluster, &self.nodes, self.selector.as_deref()).await? {
            if let Err(error) = mark(&cluster, &node, wanted, self.dry_run).await {
                errors.push(error);
            }
        }
        Ok(super::finish(&errors))
    }
}

/// The nodes that are named, or that have the labels.
pub async fn chosen(
    cluster: &Cluster,
    names: &[String],
    selector: Option<&str>,
) -> anyhow::Result<Vec<Found>> {
    ensure!(
        names.is_empty() != selector.is_none(),
        "give the nodes' names or a selector: skiff cordon NODE..., or -l SELECTOR"
    );
    let mut words = vec!["nodes".to_owned()];
    let bare = |name: &String| name.rsplit('/').next().unwrap_or(name).to_owned();
    words.extend(names.iter().map(bare));
    let chosen = Chosen {
        selector: selector.map(str::to_owned),
        field_selector: None,
        all: false,
        all_namespaces: false,
    };
    chosen.find(cluster, &words).await
}

/// Makes the node what is wanted, and says so.
pub async fn mark(
    cluster: &Cluster,
    node: &Found,
    wanted: Wanted,
    dry_run: Option<DryRun>,
) -> anyhow::Result<()> {
    let object = cluster.get(&node.path).await?;
    let is_wanted = wanted == Wanted::Cordoned;
    let is_so = object["spec"]["unschedulable"].as_bool().unwrap_or(false) == is_wanted;
    if !is_so && dry_run != Some(DryRun::Client) {
        let value = if is_wanted { json!(true) } else { Value::Null };
        let patch = json!({ "spec": { "unschedulable": value } });
        let path = format!("{}{}", node.path, DryRun::query(dry_run));
        cluster.patch(&path, MERGE_PATCH, &patch).await?;
    }
    let already = if is_so { "already " } else { "" };
    let what = if is_wanted { "cordoned" } else { "uncordoned" };
    let note = DryRun::note(dry_run);
    print::out(&format!("node/{} {already}{what}{note}\n", node.name));
    Ok(())
}
