//! `KEY=VALUE:EFFECT` sets a taint, `KEY:EFFECT-` and `KEY-` remove some.

mod spec;

use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use self::spec::{Changes, Taint};
use super::chosen::{Chosen, Found};
use super::key_values::DryRun;
use crate::client::ClientFlags;
use crate::cluster::{Cluster, MERGE_PATCH, full_name, is_conflict, text};
use crate::print;

/// `skiff taint`: say which pods nodes do not take.
#[derive(Args)]
pub struct Taints {
    #[command(flatten)]
    client: ClientFlags,

    /// node NAME..., then KEY=VALUE:EFFECT to set, KEY:EFFECT- or KEY- to remove
    #[arg(required = true, value_name = "node NAME KEY=VALUE:EFFECT")]
    words: Vec<String>,

    #[command(flatten)]
    chosen: Chosen,

    /// Change the value of taints that are there
    #[arg(long)]
    overwrite: bool,

    /// Only say what would be done
    #[arg(long, value_name = "client|server", num_args = 0..=1, default_missing_value = "client")]
    dry_run: Option<DryRun>,
}

/// Another may change the node in between this often.
const TRIES: u32 = 5;

impl Taints {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let (what, changes) = self.split()?;
        let cluster = Cluster::connect(&self.client).await?;
        let found = self.chosen.find(&cluster, &what).await?;
        if let Some(other) = found.iter().find(|found| found.resource.plural != "nodes") {
            bail!(
                "invalid resource type {}, only node types are supported",
                other.resource.plural
            );
        }
        let mut errors = Vec::new();
        for node in &found {
            if let Err(error) = self.taint(&cluster, node, &changes).await {
                errors.push(error);
            }
        }
        Ok(super::finish(&errors))
    }

    fn split(&self) -> anyhow::Result<(Vec<String>, Changes)> {
        let is_spec = |word: &String| word.contains(['=', ':']) || word.ends_with('-');
        let at = self
            .words
            .iter()
            .position(is_spec)
            .unwrap_or(self.words.len());
        let (what, specs) = self.words.split_at(at);
        if let Some(late) = specs.iter().find(|word| !is_spec(word)) {
            bail!("all resources must be specified before taint changes: {late}");
        }
        ensure!(!specs.is_empty(), "at least one taint update is required");
        Ok((what.to_vec(), Changes::parse(specs)?))
    }

    async fn taint(
        &self,
        cluster: &Cluster,
        found: &Found,
        changes: &Changes,
    ) -> anyhow::Result<()> {
        let mut tries = 0;
        let said = loop {
            tries += 1;
            match self.try_taint(cluster, found, changes).await {
                Err(error) if is_conflict(&error) && tries < TRIES => {}
                said => break said?,
            }
        };
        let name = full_name(&found.resource, &found.name);
        print::out(&format!("{name} {said}{}\n", DryRun::note(self.dry_run)));
        Ok(())
    }

    async fn try_taint(
        &self,
        cluster: &Cluster,
        found: &Found,
        changes: &Changes,
    ) -> anyhow::Result<&'static str> {
        let node = cluster.get(&found.path).await?;
        let before: Vec<Taint> = match node.pointer("/spec/taints") {
            Some(taints) => serde_json::from_value(taints.clone())?,
            None => Vec::new(),
        };
        if !self.overwrite {
            let taken = changes.taken(&before);
            ensure!(
                taken.is_empty(),
                "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
                found.name,
                taken.join(",")
            );
        }
        let (after, said) = changes.apply(&before, self.overwrite)?;
        if self.dry_run != Some(DryRun::Client) {
            let path = format!("{}{}", found.path, DryRun::query(self.dry_run));
            cluster
                .patch(&path, MERGE_PATCH, &patch(&node, &after))
                .await?;
        }
        Ok(said)
    }
}

/// The whole list goes: only onto the node that it was made from.
fn patch(node: &Value, taints: &[Taint]) -> Value {
    let version = text(node, "/metadata/resourceVersion");
    json!({ "metadata": { "resourceVersion": version }, "spec": { "taints": taints } })
}
