use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::Named;
use crate::cluster::full_name;
use crate::print::aligned;

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
        let workload = self.named.workload().await?;
        let deployment = workload.get().await?;
        let revisions = workload.revisions(&deployment).await?;
        let name = full_name(&workload.resource, &workload.name);
        if let Some(wanted) = self.revision {
            let found = revisions.iter().find(|(revision, _)| *revision == wanted);
            let (_, set) =
                found.with_context(|| format!("unable to find the specified revision {wanted}"))?;
            println!("{name} with revision #{wanted}");
            print!("{}", serde_yaml::to_string(&set["spec"]["template"])?);
            return Ok(ExitCode::SUCCESS);
        }
        let mut lines = vec![vec!["REVISION".to_owned(), "CHANGE-CAUSE".to_owned()]];
        for (revision, set) in &revisions {
            let cause = &set["metadata"]["annotations"]["kubernetes.io/change-cause"];
            lines.push(vec![
                revision.to_string(),
                cause.as_str().map_or_else(none, str::to_owned),
            ]);
        }
        println!("{name}");
        println!("{}", aligned(&lines));
        Ok(ExitCode::SUCCESS)
    }
}

fn none() -> String {
    "<none>".into()
}
