//! ReplicaSets, and ReplicationControllers, which are the same under an older
//! name: as many pods of a template as asked for.

pub mod rank;
mod scale;
mod status;

use std::sync::Arc;
use std::time::Duration;

use events::Recorder;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSetStatus;
use kube::Resource;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::informer::Informer;
use crate::key::Key;
use crate::object::{Pod, ReplicaSet, ReplicaSetSpec, ReplicationController};
use crate::queue::Queue;
use crate::workload::{self, Workload};

const WORKERS: usize = 5;

/// The two kinds.
trait Replicated: Workload + Resource<Scope = NamespaceResourceScope> {
    const NAME: &'static str;
    /// Who tells the events.
    const COMPONENT: &'static str;

    fn informer(cluster: &Cluster) -> &Arc<Informer<Self>>;
    fn spec(&self) -> &ReplicaSetSpec;
    fn status(&self) -> &ReplicaSetStatus;
}

struct ReplicaSets<K: Replicated> {
    cluster: Cluster,
    sets: Arc<Informer<K>>,
    recorder: Recorder,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    start_kind::<ReplicaSet>(cluster, tasks, shutdown);
    start_kind::<ReplicationController>(cluster, tasks, shutdown);
}

fn start_kind<K: Replicated>(
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    let sets = K::informer(cluster);
    controller::notice(sets, &queue);
    workload::notice_pods(cluster, sets, &queue);
    let controller = ReplicaSets {
        cluster: cluster.clone(),
        sets: sets.clone(),
        recorder: cluster.events.recorder(K::COMPONENT),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

macro_rules! replicated {
    ($kind:ty, $informer:ident, $name:literal, $component:literal) => {
        impl Workload for $kind {
            fn selector(&self) -> &Value {
                &self.spec.selector
            }

            fn template(&self) -> &Value {
                &self.spec.template
            }
        }

        impl Replicated for $kind {
            const NAME: &'static str = $name;
            const COMPONENT: &'static str = $component;

            fn informer(cluster: &Cluster) -> &Arc<Informer<Self>> {
                &cluster.$informer
            }

            fn spec(&self) -> &ReplicaSetSpec {
                &self.spec
            }

            fn status(&self) -> &ReplicaSetStatus {
                &self.status
            }
        }
    };
}

replicated!(
    ReplicaSet,
    replica_sets,
    "replicaset",
    "replicaset-controller"
);
replicated!(
    ReplicationController,
    replication_controllers,
    "replicationcontroller",
    "replication-controller"
);

impl<K: Replicated> Controller for ReplicaSets<K> {
    const NAME: &'static str = K::NAME;
    const REST: u32 = 1;

    async fn informed(&self) {
        self.sets.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(set) = self.sets.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let pods = workload::claim(&self.cluster, &*set, |_| true).await?;
        let active: Vec<Arc<Pod>> = pods.into_iter().filter(|p| p.is_active()).collect();
        let scaled = if set.meta().deletion_timestamp.is_none() {
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
        Ok(next_look(&*set, &active))
    }
}

/// Ready pods become available by the passing of time alone.
fn next_look(set: &impl Replicated, active: &[Arc<Pod>]) -> Next {
    let min_ready = jiff::SignedDuration::from_secs(set.spec().min_ready_seconds.into());
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
