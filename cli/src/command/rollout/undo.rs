use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{Named, Workload, revision};

#[derive(Args)]
pub struct Undo {
    #[command(flatten)]
    named: Named,

    /// The revision to go back to; 0 is the one before
    #[arg(long, default_value_t = 0, value_name = "N")]
    to_revision: i64,
}

impl Undo {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let mut errors = Vec::new();
        for workload in self.named.workloads().await? {
            if let Err(error) = self.undo(&workload).await {
                errors.push(error);
            }
        }
        Ok(crate::command::finish(&errors))
    }

    async fn undo(&self, workload: &Workload) -> anyhow::Result<()> {
        let deployment = workload.get().await?;
        if deployment["spec"]["paused"] == true {
            bail!(
                "you cannot rollback a paused deployment; resume it first with 'skiff rollout resume' and try again"
            );
        }
        let revisions = workload.revisions(&deployment).await?;
        let set = self.wanted(&revisions, revision(&deployment))?;
        let mut template = set["spec"]["template"].clone();
        if let Some(labels) = template
            .pointer_mut("/metadata/labels")
            .and_then(Value::as_object_mut)
        {
            labels.remove("pod-template-hash");
        }
        if template == deployment["spec"]["template"] {
            workload.say("skipped rollback (current template already matches revision)");
            return Ok(());
        }
        // Replaced whole: what the old template lacked must go.
        template["$patch"] = "replace".into();
        workload
            .patch(&json!({ "spec": { "template": template } }))
            .await?;
        workload.say("rolled back");
        Ok(())
    }

    fn wanted<'a>(&self, revisions: &'a [(i64, Value)], now: i64) -> anyhow::Result<&'a Value> {
        let found = if self.to_revision == 0 {
            revisions.iter().rev().find(|(revision, _)| *revision < now)
        } else {
            revisions
                .iter()
                .find(|(revision, _)| *revision == self.to_revision)
        };
        let (_, set) = found.with_context(|| match self.to_revision {
            0 => "no rollout history found to go back to".to_owned(),
            wanted => format!("unable to find specified revision {wanted} in history"),
        })?;
        Ok(set)
    }
}
