//! Emptying nodes: no new pods, then every pod is evicted, as fast as its
//! disruption budget allows; kubectl's flags, words and order.

mod evict;
mod judge;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use self::evict::Evictions;
use self::judge::{Judged, Rules};
use super::chosen::Found;
use super::cordon::{self, Wanted};
use super::key_values::DryRun;
use crate::client::ClientFlags;
use crate::cluster::{Cluster, encode};
use crate::print;

/// `skiff drain`: move all pods away from nodes.
#[derive(Args)]
pub struct Drain {
    #[command(flatten)]
    client: ClientFlags,

    /// The nodes
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,

    /// Those with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,

    /// Only pods with these labels
    #[arg(long, value_name = "SELECTOR")]
    pod_selector: Option<String>,

    /// Leave the pods of DaemonSets: they would come back at once
    #[arg(long)]
    ignore_daemonsets: bool,

    /// Go on though pods with emptyDir volumes lose what is in them
    #[arg(long, alias = "delete-local-data")]
    delete_emptydir_data: bool,

    /// Go on though pods without a controller will not come back
    #[arg(long)]
    force: bool,

    /// Seconds that pods are given to end; below 0 leaves it to them
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    grace_period: i64,

    /// Give up after this long, such as 5m; 0s never
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = crate::cluster_flags::parse_duration)]
    timeout: Duration,

    /// Delete pods rather than evict them: budgets are not asked
    #[arg(long)]
    disable_eviction: bool,

    /// Do not wait for pods that were deleted longer ago than this many seconds; 0 waits for all
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    skip_wait_for_delete_timeout: i64,

    /// Only say what would be done
    #[arg(long, value_name = "client|server", num_args = 0..=1, default_missing_value = "client")]
    dry_run: Option<DryRun>,
}

impl Drain {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let mut cluster = Cluster::connect(&self.client).await?;
        // That a budget forbids an eviction is said each time, not slept over.
        cluster.client = self.client.client_without_retries().await?;
        let nodes = cordon::chosen(&cluster, &self.nodes, self.selector.as_deref()).await?;
        for node in &nodes {
            cordon::mark(&cluster, node, Wanted::Cordoned, self.dry_run).await?;
        }
        let mut errors = Vec::new();
        for node in &nodes {
            match self.drain(&cluster, node).await {
                Ok(()) => print::out(&format!(
                    "node/{} drained{}\n",
                    node.name,
                    DryRun::note(self.dry_run)
                )),
                Err(error) => errors.push(error.context(format!(
                    "unable to drain node {:?} (it stays cordoned)",
                    node.name
                ))),
            }
        }
        Ok(super::finish(&errors))
    }

    async fn drain(&self, cluster: &Cluster, node: &Found) -> anyhow::Result<()> {
        let pods = self.pods_of(cluster, &node.name).await?;
        let judged = self.judge(cluster, &pods).await?;
        judged.refuse()?;
        for warning in judged.warnings() {
            eprintln!("Warning: {warning}");
        }
        let evictions = Evictions {
            cluster,
            grace: self.grace_period,
            timeout: self.timeout,
            deletes: self.disable_eviction,
            dry_run: self.dry_run,
        };
        evictions.run(&judged.doomed).await
    }

    async fn pods_of(&self, cluster: &Cluster, node: &str) -> anyhow::Result<Vec<Value>> {
        let path = format!(
            "/api/v1/pods?fieldSelector={}&labelSelector={}",
            encode(&format!("spec.nodeName={node}")),
            encode(self.pod_selector.as_deref().unwrap_or_default())
        );
        let list = cluster.get(&path).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    async fn judge<'p>(&self, cluster: &Cluster, pods: &'p [Value]) -> anyhow::Result<Judged<'p>> {
        let rules = Rules {
            ignore_daemonsets: self.ignore_daemonsets,
            delete_emptydir_data: self.delete_emptydir_data,
            force: self.force,
            skip_deleted_for: self.skip_wait_for_delete_timeout,
            now: jiff::Timestamp::now(),
        };
        let mut judged = Judged::default();
        for pod in pods {
            let is_orphan = match judge::daemon_set_of(pod) {
                Some(path) => cluster.find(&path).await?.is_none(),
                None => false,
            };
            judged.add(pod, rules.verdict(pod, is_orphan));
        }
        Ok(judged)
    }
}
