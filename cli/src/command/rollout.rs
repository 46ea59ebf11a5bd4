//! `skiff rollout`: how a workload's change of template goes, and back.

mod history;
mod status;
mod undo;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::ClientFlags;
use crate::cluster::{Cluster, Resource, STRATEGIC_PATCH, encode, full_name, text};
use crate::print;

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

    /// Those of the type with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
}

/// A change that a word of the command line stands for.
struct Change {
    done: &'static str,
    doing: &'static str,
    kinds: &'static [&'static str],
    /// What `spec.paused` must be, and what to say where it is not.
    paused: Option<(bool, &'static str)>,
}

const RESTART: Change = Change {
    done: "restarted",
    doing: "restarting",
    kinds: &["deployments", "daemonsets", "statefulsets"],
    paused: Some((
        false,
        "can't restart paused deployment (run rollout resume first)",
    )),
};
const PAUSE: Change = Change {
    done: "paused",
    doing: "pausing",
    kinds: &["deployments"],
    paused: Some((false, "is already paused")),
};
const RESUME: Change = Change {
    done: "resumed",
    doing: "resuming",
    kinds: &["deployments"],
    paused: Some((true, "is not paused")),
};

impl Change {
    async fn apply(&self, workload: &Workload, patch: &Value) -> anyhow::Result<()> {
        let full = workload.described();
        ensure!(
            self.kinds.contains(&workload.resource.plural.as_str()),
            "{full} {} is not supported",
            self.doing
        );
        let object = workload.get().await?;
        if let Some((wanted, complaint)) = self.paused {
            let is_paused = object["spec"]["paused"] == true;
            ensure!(is_paused == wanted, "{full} {complaint}");
        }
        workload.patch(patch).await?;
        Ok(())
    }
}

/// What one command is about.
struct Workload {
    cluster: Arc<Cluster>,
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
                named.change(&RESTART, &patch).await
            }
            Self::Pause(named) => {
                let patch = json!({ "spec": { "paused": true } });
                named.change(&PAUSE, &patch).await
            }
            Self::Resume(named) => {
                let patch = json!({ "spec": { "paused": null } });
                named.change(&RESUME, &patch).await
            }
        }
    }
}

impl Named {
    /// What is named, or all of the type.
    async fn workloads(&self) -> anyhow::Result<Vec<Workload>> {
        let cluster = Arc::new(Cluster::connect(&self.client).await?);
        let mut workloads = Vec::new();
        for target in cluster.targets(&self.what)? {
            let names = match target.name {
                Some(name) => vec![name],
                None => self.names(&cluster, &target.resource).await?,
            };
            for name in names {
                workloads.push(Workload {
                    path: cluster.path(&target.resource, Some(&cluster.namespace), Some(&name)),
                    cluster: Arc::clone(&cluster),
                    resource: target.resource.clone(),
                    name,
                });
            }
        }
        Ok(workloads)
    }

    async fn names(&self, cluster: &Cluster, resource: &Resource) -> anyhow::Result<Vec<String>> {
        let mut path = cluster.path(resource, Some(&cluster.namespace), None);
        if let Some(selector) = &self.selector {
            path.push_str(&format!("?labelSelector={}", encode(selector)));
        }
        let list = cluster.get(&path).await?;
        let items = list["items"].as_array().into_iter().flatten();
        let names: Vec<String> = items
            .map(|i| text(i, "/metadata/name").to_owned())
            .collect();
        if names.is_empty() {
            eprintln!("No resources found in {} namespace.", cluster.namespace);
        }
        Ok(names)
    }

    async fn change(self, change: &Change, patch: &Value) -> anyhow::Result<ExitCode> {
        let mut errors = Vec::new();
        for workload in self.workloads().await? {
            match change.apply(&workload, patch).await {
                Ok(()) => workload.say(change.done),
                Err(error) => errors.push(error),
            }
        }
        Ok(super::finish(&errors))
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
        print::out(&format!(
            "{} {done}\n",
            full_name(&self.resource, &self.name)
        ));
    }

    /// `deployments.apps "web"`
    fn described(&self) -> String {
        let group = if self.resource.group.is_empty() {
            ""
        } else {
            "."
        };
        format!(
            "{}{group}{} {:?}",
            self.resource.plural, self.resource.group, self.name
        )
    }

    /// The templates that the object has had, oldest first.
    async fn past(&self, object: &Value) -> anyhow::Result<Vec<Past>> {
        let (kept_in, read): (_, fn(&Value) -> Past) = match self.resource.plural.as_str() {
            "deployments" => ("replicasets", Past::of_replica_set),
            "statefulsets" | "daemonsets" => ("controllerrevisions", Past::of_revision),
            _ => bail!(
                "no history viewer has been implemented for {}",
                self.resource.kind
            ),
        };
        let kept_in = self.cluster.resource(kept_in)?;
        let path = self
            .cluster
            .path(&kept_in, Some(&self.cluster.namespace), None);
        let list = self.cluster.get(&path).await?;
        let uid = &object["metadata"]["uid"];
        let is_owned = |kept: &&Value| {
            let owners = kept["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|o| o.iter().any(|o| &o["uid"] == uid))
        };
        let all = list["items"].as_array().into_iter().flatten();
        let mut past: Vec<Past> = all.filter(is_owned).map(read).collect();
        past.sort_by_key(|past| past.revision);
        Ok(past)
    }
}

/// A template that a workload has had.
struct Past {
    revision: i64,
    /// Why, if somebody has noted it.
    cause: Option<String>,
    template: Value,
}

impl Past {
    fn of_replica_set(set: &Value) -> Self {
        let mut template = set["spec"]["template"].clone();
        if let Some(labels) = template
            .pointer_mut("/metadata/labels")
            .and_then(Value::as_object_mut)
        {
            labels.remove("pod-template-hash");
        }
        Self {
            revision: revision(set),
            cause: cause(set),
            template,
        }
    }

    fn of_revision(kept: &Value) -> Self {
        let mut template = kept["data"]["spec"]["template"].clone();
        if let Some(fields) = template.as_object_mut() {
            fields.remove("$patch");
        }
        if let Some(metadata) = template["metadata"].as_object_mut() {
            metadata.retain(|_, value| !value.is_null());
        }
        Self {
            revision: kept["revision"].as_i64().unwrap_or(0),
            cause: cause(kept),
            template,
        }
    }
}

fn cause(object: &Value) -> Option<String> {
    let cause = &object["metadata"]["annotations"]["kubernetes.io/change-cause"];
    cause.as_str().map(str::to_owned)
}

fn revision(object: &Value) -> i64 {
    let text = &object["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
    text.as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_comes_back_without_what_was_put_in_to_keep_it() {
        let set = json!({ "metadata": { "annotations": { "deployment.kubernetes.io/revision": "3",
                "kubernetes.io/change-cause": "because" } },
            "spec": { "template": { "metadata": { "labels": { "a": "b", "pod-template-hash": "x" } } } } });
        let kept = json!({ "revision": 3, "data": { "spec": { "template": { "$patch": "replace",
            "metadata": { "creationTimestamp": null, "labels": { "a": "b" } } } } } });
        let (set, kept) = (Past::of_replica_set(&set), Past::of_revision(&kept));
        assert_eq!(
            set.template,
            json!({ "metadata": { "labels": { "a": "b" } } })
        );
        assert_eq!(set.template, kept.template);
        assert_eq!((set.revision, kept.revision), (3, 3));
        assert_eq!(set.cause.as_deref(), Some("because"));
    }
}
