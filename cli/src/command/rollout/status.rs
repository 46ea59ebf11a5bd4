use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use futures::{AsyncBufReadExt, TryStreamExt};
use http::Request;
use serde_json::Value;

use super::{Named, Workload};
use crate::cluster::{encode, text};

#[derive(Args)]
pub struct Status {
    #[command(flatten)]
    named: Named,

    /// Do not wait
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    watch: bool,

    /// Give up after this long, such as 90s; 0 never
    #[arg(long, default_value = "0s", value_name = "DURATION")]
    timeout: jiff::SignedDuration,
}

/// How far a rollout is.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Waiting(String),
    Done(String),
    Failed(String),
}

impl Status {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let workload = self.named.workload().await?;
        let object = workload.get().await?;
        if say(&object)? || !self.watch {
            return Ok(ExitCode::SUCCESS);
        }
        let waited = wait(&workload, &object);
        let limit = Duration::try_from(self.timeout).unwrap_or_default();
        if limit.is_zero() {
            waited.await?;
        } else {
            let waited = tokio::time::timeout(limit, waited).await;
            waited.context("timed out waiting for the condition")??;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn wait(workload: &Workload, seen: &Value) -> anyhow::Result<()> {
    let mut version = text(seen, "/metadata/resourceVersion").to_owned();
    let list = workload
        .cluster
        .path(&workload.resource, Some(&workload.cluster.namespace), None);
    let only = encode(&format!("metadata.name={}", workload.name));
    loop {
        let path = format!("{list}?watch=true&fieldSelector={only}&resourceVersion={version}");
        let stream = workload
            .cluster
            .client
            .request_stream(Request::get(path).body(Vec::new())?);
        let mut lines = stream.await?.lines();
        while let Some(line) = lines.try_next().await? {
            let event: Value = serde_json::from_str(&line)?;
            match event["type"].as_str() {
                Some("DELETED") => bail!("object has been deleted"),
                Some("ERROR") => bail!("{}", text(&event, "/object/message")),
                _ => {}
            }
            text(&event, "/object/metadata/resourceVersion").clone_into(&mut version);
            if say(&event["object"])? {
                return Ok(());
            }
        }
    }
}

/// Prints how far it is; true at the end.
fn say(object: &Value) -> anyhow::Result<bool> {
    match progress(object)? {
        Progress::Waiting(message) => {
            println!("{message}");
            Ok(false)
        }
        Progress::Done(message) => {
            println!("{message}");
            Ok(true)
        }
        Progress::Failed(message) => bail!(message),
    }
}

fn progress(object: &Value) -> anyhow::Result<Progress> {
    match object["kind"].as_str() {
        Some("Deployment") => Ok(of_deployment(object)),
        Some(kind) => bail!("no rollout status for {kind} here"),
        None => bail!("the server sent an object without a kind"),
    }
}

fn of_deployment(deployment: &Value) -> Progress {
    let name = text(deployment, "/metadata/name");
    let count = |pointer: &str| {
        deployment
            .pointer(pointer)
            .and_then(Value::as_i64)
            .unwrap_or(0)
    };
    let wait = |rest: String| {
        Progress::Waiting(format!(
            "Waiting for deployment {name:?} rollout to finish: {rest}..."
        ))
    };
    if count("/metadata/generation") > count("/status/observedGeneration") {
        return Progress::Waiting("Waiting for deployment spec update to be observed...".into());
    }
    let conditions = deployment
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let has_failed =
        |c: &Value| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded";
    if conditions.is_some_and(|c| c.iter().any(has_failed)) {
        return Progress::Failed(format!(
            "deployment {name:?} exceeded its progress deadline"
        ));
    }
    let (wanted, updated) = (count("/spec/replicas"), count("/status/updatedReplicas"));
    let (all, available) = (
        count("/status/replicas"),
        count("/status/availableReplicas"),
    );
    if updated < wanted {
        return wait(format!(
            "{updated} out of {wanted} new replicas have been updated"
        ));
    }
    if all > updated {
        return wait(format!(
            "{} old replicas are pending termination",
            all - updated
        ));
    }
    if available < updated {
        return wait(format!(
            "{available} of {updated} updated replicas are available"
        ));
    }
    Progress::Done(format!("deployment {name:?} successfully rolled out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(status: Value) -> Value {
        json!({ "kind": "Deployment", "metadata": { "name": "web", "generation": 2 }, "spec": { "replicas": 3 }, "status": status })
    }

    #[test]
    fn rollout_is_told_in_kubectls_words() {
        let said = |status| of_deployment(&deployment(status));
        assert_eq!(
            said(json!({ "observedGeneration": 1 })),
            Progress::Waiting("Waiting for deployment spec update to be observed...".into())
        );
        assert_eq!(
            said(json!({ "observedGeneration": 2, "replicas": 4, "updatedReplicas": 1 })),
            Progress::Waiting("Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been updated...".into())
        );
        let all = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 });
        assert_eq!(
            said(all),
            Progress::Done("deployment \"web\" successfully rolled out".into())
        );
    }
}
