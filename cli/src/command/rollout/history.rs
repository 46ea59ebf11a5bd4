use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{Named, Workload};
use crate::cluster::full_name;
use crate::print::{self, Tabs};

#[derive(Args)]
pub struct History {
    #[command(flatten)]
    named: Named,

    /// Show the template of this revision
    #[arg(long, value_name = "N")]
    revision: Option<i64>,
}

impl History {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        for workload in self.named.workloads().await? {
            self.show(&workload).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn show(&self, workload: &Workload) -> anyhow::Result<()> {
        let deployment = workload.get().await?;
        let revisions = workload.revisions(&deployment).await?;
        let name = full_name(&workload.resource, &workload.name);
        if let Some(wanted) = self.revision {
            let found = revisions.iter().find(|(revision, _)| *revision == wanted);
            let (_, set) = found.with_context(|| {
                format!(
                    "unable to find the specified revision {wanted}; there are {}",
                    list(&revisions)
                )
            })?;
            print::out(&format!("{name} with revision #{wanted}\n"));
            print::out(&format!(
                "{}\n",
                crate::command::describe::template(&set["spec"]["template"])
            ));
            return Ok(());
        }
        let mut lines = String::from("REVISION\tCHANGE-CAUSE\n");
        for (revision, set) in &revisions {
            let cause = &set["metadata"]["annotations"]["kubernetes.io/change-cause"];
            let cause = cause.as_str().unwrap_or("<none>");
            lines.push_str(&format!("{revision}\t{cause}\n"));
        }
        print::out(&format!("{name} \n{}\n", Tabs::PAGE.align(&lines)));
        Ok(())
    }
}

fn list(revisions: &[(i64, serde_json::Value)]) -> String {
    let numbers: Vec<String> = revisions
        .iter()
        .map(|(revision, _)| revision.to_string())
        .collect();
    numbers.join(", ")
}
