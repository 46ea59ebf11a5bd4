//! ReplicaSets: as many pods of a template as asked for.

mod rank;
mod scale;
mod status;

use std::sync::Arc;
use std::time::Duration;

use events::Recorder;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Pod, ReplicaSet};
use crate::queue::Queue;
use crate::workload::{self, Workload};

const WORKERS: usize = 5;

struct ReplicaSets {
    cluster: Cluster,
    recorder: Recorder,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.replica_sets, &queue);
    workload::notice_pods(cluster, &cluster.replica_sets, &queue);
    let controller = ReplicaSets {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("replicaset-controller"),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Workload for ReplicaSet {
    fn selector(&self) -> &Value {
        &self.spec.selector
    }

    fn template(&self) -> &Value {
        &self.spec.template
    }
}

impl Controller for ReplicaSets {
    const NAME: &'static str = "replicaset";
    const REST: u32 = 1;

    async fn informed(&self) {
        self.cluster.replica_sets.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(set) = self.cluster.replica_sets.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let pods = workload::claim(&self.cluster, &*set, |_| true).await?;
        let active: Vec<Arc<Pod>> = pods.into_iter().filter(|p| p.is_active()).collect();
        let scaled = if set.metadata.deletion_timestamp.is_none() {
            self.scale(&set, &active).await
        } else {
            Ok(())
        };
        // The status tells of what is there now, also after a failure.
        let active: Vec<Arc<Pod>> = workload::pods_of(&self.cluster, &*set)
            .into_iter()
            .filter(|p| p.is_active())
            .collect();
        self.write_status(key, &set, &active, scaled.as_ref().err())
            .await?;
        scaled?;
        Ok(next_look(&set, &active))
    }
}

/// Ready pods become available by the passing of time alone.
fn next_look(set: &ReplicaSet, active: &[Arc<Pod>]) -> Next {
    let min_ready = jiff::SignedDuration::from_secs(set.spec.min_ready_seconds.into());
    let now = jiff::Timestamp::now();
    let waits = active.iter().filter_map(|pod| {
        let due = pod.ready_since()? + min_ready;
        (due > now).then(|| due.duration_since(now))
    });
    match waits.min() {
        Some(wait) => Next::After(Duration::try_from(wait).unwrap_or_default()),
        None => Next::WhenChanged,
    }
}
