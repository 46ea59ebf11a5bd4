use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{Named, Past, Workload};
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
        let object = workload.get().await?;
        let past = workload.past(&object).await?;
        let name = full_name(&workload.resource, &workload.name);
        if let Some(wanted) = self.revision {
            let found = past.iter().find(|past| past.revision == wanted);
            let found = found.with_context(|| {
                format!(
                    "unable to find the specified revision {wanted}; there are {}",
                    list(&past)
                )
            })?;
            print::out(&format!("{name} with revision #{wanted}\n"));
            print::out(&format!(
                "{}\n",
                crate::command::describe::template(&found.template)
            ));
            return Ok(());
        }
        let mut lines = String::from("REVISION\tCHANGE-CAUSE\n");
        for past in &past {
            let cause = past.cause.as_deref().unwrap_or("<none>");
            lines.push_str(&format!("{}\t{cause}\n", past.revision));
        }
        print::out(&format!("{name} \n{}\n", Tabs::PAGE.align(&lines)));
        Ok(())
    }
}

fn list(past: &[Past]) -> String {
    let numbers: Vec<String> = past.iter().map(|past| past.revision.to_string()).collect();
    numbers.join(", ")
}
