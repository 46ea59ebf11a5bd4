use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use super::{Named, Past, Workload, revision};

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
        let object = workload.get().await?;
        if object["spec"]["paused"] == true {
            bail!(
                "you cannot rollback a paused deployment; resume it first with 'skiff rollout resume' and try again"
            );
        }
        let past = workload.past(&object).await?;
        let newest = past.last().map_or(0, |past| past.revision);
        let now = match revision(&object) {
            0 => newest,
            noted => noted,
        };
        let wanted = self.wanted(&past, now)?;
        if wanted.template == object["spec"]["template"] {
            workload.say(&format!(
                "skipped rollback (current template already matches revision {})",
                wanted.revision
            ));
            return Ok(());
        }
        // Replaced whole: what the old template lacked must go.
        let mut template = wanted.template.clone();
        template["$patch"] = "replace".into();
        workload
            .patch(&json!({ "spec": { "template": template } }))
            .await?;
        workload.say("rolled back");
        Ok(())
    }

    fn wanted<'a>(&self, past: &'a [Past], now: i64) -> anyhow::Result<&'a Past> {
        let found = match self.to_revision {
            0 => past.iter().rev().find(|past| past.revision < now),
            wanted => past.iter().find(|past| past.revision == wanted),
        };
        found.with_context(|| match self.to_revision {
            0 => "no rollout history found to go back to".to_owned(),
            wanted => format!("unable to find specified revision {wanted} in history"),
        })
    }
}
