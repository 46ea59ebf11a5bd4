use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;

use super::{Named, Workload};
use crate::cluster::text;
use crate::print;

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
        let limit = Duration::try_from(self.timeout).unwrap_or_default();
        for workload in self.named.workloads().await? {
            self.follow(&workload, limit).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn follow(&self, workload: &Workload, limit: Duration) -> anyhow::Result<()> {
        if !self.watch {
            return say(&workload.get().await?).map(|_| ());
        }
        let waited = wait(workload);
        if limit.is_zero() {
            waited.await?;
        } else {
            let waited = tokio::time::timeout(limit, waited).await;
            waited.context("timed out waiting for the condition")??;
        }
        Ok(())
    }
}

async fn wait(workload: &Workload) -> anyhow::Result<()> {
    let seen = |object: &Value| match say(object) {
        Ok(false) => None,
        Ok(true) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    };
    workload.cluster.until(&workload.path, seen).await?
}

/// Prints how far it is; true at the end.
fn say(object: &Value) -> anyhow::Result<bool> {
    match progress(object)? {
        Progress::Waiting(message) => {
            print::out(&format!("{message}\n"));
            Ok(false)
        }
        Progress::Done(message) => {
            print::out(&format!("{message}\n"));
            Ok(true)
        }
        Progress::Failed(message) => bail!(message),
    }
}

fn progress(object: &Value) -> anyhow::Result<Progress> {
    match object["kind"].as_str() {
        Some("Deployment") => Ok(of_deployment(object)),
        Some("DaemonSet") => Ok(of_daemon_set(object)),
        Some("StatefulSet") => Ok(of_stateful_set(object)),
        Some(kind) => bail!("no status viewer has been implemented for {kind}"),
        None => bail!("the server sent an object without a kind"),
    }
}

fn count(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn of_daemon_set(set: &Value) -> Progress {
    let name = text(set, "/metadata/name");
    if count(set, "/metadata/generation") > count(set, "/status/observedGeneration") {
        return Progress::Waiting("Waiting for daemon set spec update to be observed...".into());
    }
    let wanted = count(set, "/status/desiredNumberScheduled");
    let (updated, available) = (
        count(set, "/status/updatedNumberScheduled"),
        count(set, "/status/numberAvailable"),
    );
    let rest = if updated < wanted {
        format!("{updated} out of {wanted} new pods have been updated")
    } else if available < wanted {
        format!("{available} of {wanted} updated pods are available")
    } else {
        return Progress::Done(format!("daemon set {name:?} successfully rolled out"));
    };
    Progress::Waiting(format!(
        "Waiting for daemon set {name:?} rollout to finish: {rest}..."
    ))
}

fn of_stateful_set(set: &Value) -> Progress {
    if count(set, "/metadata/generation") > count(set, "/status/observedGeneration") {
        return Progress::Waiting("Waiting for statefulset spec update to be observed...".into());
    }
    let (wanted, ready) = (
        count(set, "/spec/replicas"),
        count(set, "/status/readyReplicas"),
    );
    if ready < wanted {
        return Progress::Waiting(format!(
            "Waiting for {} pods to be ready...",
            wanted - ready
        ));
    }
    let partition = count(set, "/spec/updateStrategy/rollingUpdate/partition");
    let updated = count(set, "/status/updatedReplicas");
    if partition > 0 && updated < wanted - partition {
        return Progress::Waiting(format!(
            "Waiting for partitioned roll out to finish: {updated} out of {} new pods have been updated...",
            wanted - partition
        ));
    }
    let revision = text(set, "/status/updateRevision");
    if partition == 0 && revision != text(set, "/status/currentRevision") {
        return Progress::Waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {revision}..."
        ));
    }
    let current = count(set, "/status/currentReplicas");
    Progress::Done(format!(
        "statefulset rolling update complete {current} pods at revision {revision}..."
    ))
}

fn of_deployment(deployment: &Value) -> Progress {
    let name = text(deployment, "/metadata/name");
    let count = |pointer: &str| self::count(deployment, pointer);
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
