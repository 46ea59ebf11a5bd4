//! `skiff rollout`: how a Deployment's change of template goes.

mod history;
mod status;
mod undo;

use std::process::ExitCode;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::{Cluster, Resource, STRATEGIC_PATCH, full_name};

#[derive(Subcommand)]
pub enum Rollout {
    /// Wait until the rollout is through
    Status(status::Status),
    /// List revisions, or show one
    History(history::History),
    /// Go back to the revision before, or to a given one
    Undo(undo::Undo),
    /// Replace all pods by new ones
    Restart(Named),
    /// Let changes of the template wait
    Pause(Named),
    /// Let them go on
    Resume(Named),
}

#[derive(Args)]
pub struct Named {
    #[command(flatten)]
    client: ClientFlags,

    /// TYPE NAME, or TYPE/NAME
    #[arg(required = true, value_name = "TYPE/NAME")]
    what: Vec<String>,
}

/// What one command is about.
struct Workload {
    cluster: Cluster,
    resource: Resource,
    name: String,
    path: String,
}

impl Rollout {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Status(status) => status.run().await,
            Self::History(history) => history.run().await,
            Self::Undo(undo) => undo.run().await,
            Self::Restart(named) => {
                let now = jiff::Timestamp::now()
                    .strftime("%Y-%m-%dT%H:%M:%SZ")
                    .to_string();
                let annotations = json!({ "kubectl.kubernetes.io/restartedAt": now });
                let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
                named.change("restarted", &patch).await
            }
            Self::Pause(named) => {
                named
                    .change("paused", &json!({ "spec": { "paused": true } }))
                    .await
            }
            Self::Resume(named) => {
                named
                    .change("resumed", &json!({ "spec": { "paused": false } }))
                    .await
            }
        }
    }
}

impl Named {
    async fn workload(&self) -> anyhow::Result<Workload> {
        let cluster = Cluster::connect(&self.client).await?;
        let (resource, name) = cluster.target(&self.what)?;
        let path = cluster.path(&resource, Some(&cluster.namespace), Some(&name));
        Ok(Workload {
            cluster,
            resource,
            name,
            path,
        })
    }

    async fn change(self, done: &str, patch: &Value) -> anyhow::Result<ExitCode> {
        let workload = self.workload().await?;
        workload.patch(patch).await?;
        workload.say(done);
        Ok(ExitCode::SUCCESS)
    }
}

impl Workload {
    async fn get(&self) -> anyhow::Result<Value> {
        self.cluster.get(&self.path).await
    }

    async fn patch(&self, patch: &Value) -> anyhow::Result<Value> {
        self.cluster.patch(&self.path, STRATEGIC_PATCH, patch).await
    }

    fn say(&self, done: &str) {
        println!("{} {done}", full_name(&self.resource, &self.name));
    }

    /// The Deployment's ReplicaSets by revision, oldest first.
    async fn revisions(&self, deployment: &Value) -> anyhow::Result<Vec<(i64, Value)>> {
        ensure!(
            self.resource.plural == "deployments",
            "only Deployments have revisions here, not {}",
            self.resource.plural
        );
        let sets = self.cluster.resource("replicasets")?;
        let path = self
            .cluster
            .path(&sets, Some(&self.cluster.namespace), None);
        let list = self.cluster.get(&path).await?;
        let uid = &deployment["metadata"]["uid"];
        let is_owned = |set: &&Value| {
            let owners = set["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|o| o.iter().any(|o| &o["uid"] == uid))
        };
        let owned = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(is_owned);
        let mut revisions: Vec<(i64, Value)> =
            owned.map(|set| (revision(set), set.clone())).collect();
        revisions.sort_by_key(|(revision, _)| *revision);
        Ok(revisions)
    }
}

fn revision(object: &Value) -> i64 {
    let text = &object["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
    text.as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}
