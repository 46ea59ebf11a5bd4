//! ReplicaSets: as many pods of a template as asked for.

mod rank;
mod scale;
mod status;

use std::sync::Arc;
use std::time::Duration;

use apimachinery::selector::LabelSelector;
use events::Recorder;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Pod, ReplicaSet};
use crate::owner;
use crate::queue::Queue;

const WORKERS: usize = 5;

struct ReplicaSets {
    cluster: Cluster,
    recorder: Recorder,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    notice_replica_sets(cluster, &queue);
    notice_pods(cluster, &queue);
    let controller = ReplicaSets {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("replicaset-controller"),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn notice_replica_sets(cluster: &Cluster, queue: &Arc<Queue>) {
    let queue = queue.clone();
    cluster.replica_sets.on_change(move |old, new| {
        if let Some(set) = new.or(old) {
            queue.add(Key::of(set));
        }
    });
}

/// A pod concerns the set that owns it or owned it; an orphan concerns every
/// set of its namespace that might adopt it.
fn notice_pods(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, sets) = (queue.clone(), cluster.replica_sets.clone());
    cluster.pods.on_change(move |old, new| {
        for pod in [old, new].into_iter().flatten() {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            match owner::controller(&pod.metadata) {
                Some(owner) if owner.kind == "ReplicaSet" => {
                    queue.add(Key::new(namespace, &owner.name));
                }
                Some(_) => {}
                None => {
                    for set in sets.in_namespace(namespace) {
                        let selector = LabelSelector::from_object(&set.spec.selector);
                        if selector.is_ok_and(|s| owner::selects(&s, |name| pod.labels.get(name))) {
                            queue.add(Key::of(&*set));
                        }
                    }
                }
            }
        }
    });
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
        let pods = self.claim(key, &set).await?;
        let active: Vec<Arc<Pod>> = pods.into_iter().filter(|p| p.is_active()).collect();
        let scaled = if set.metadata.deletion_timestamp.is_none() {
            self.scale(key, &set, &active).await
        } else {
            Ok(())
        };
        // The status tells of what is there now, also after a failure.
        let active: Vec<Arc<Pod>> = self
            .owned(&set)
            .into_iter()
            .filter(|p| p.is_active())
            .collect();
        self.write_status(key, &set, &active, scaled.as_ref().err())
            .await?;
        scaled?;
        Ok(next_look(&set, &active))
    }
}

impl ReplicaSets {
    fn owned(&self, set: &ReplicaSet) -> Vec<Arc<Pod>> {
        let uid = set.metadata.uid.as_deref().unwrap_or_default();
        self.cluster.pods.owned_by(uid)
    }

    /// The set's pods, after orphans that match were adopted and pods that no
    /// longer match were let go.
    async fn claim(&self, key: &Key, set: &ReplicaSet) -> Result<Vec<Arc<Pod>>, Error> {
        let selector =
            LabelSelector::from_object(&set.spec.selector).map_err(|e| Error::Selector {
                kind: "ReplicaSet",
                key: key.clone(),
                reason: e.to_string(),
            })?;
        let matches = |pod: &Pod| owner::selects(&selector, |name| pod.labels.get(name));
        if set.metadata.deletion_timestamp.is_none() {
            for pod in self.cluster.pods.orphans(&key.namespace) {
                if pod.is_active() && matches(&pod) {
                    let mine = json!([owner::reference(set)]);
                    self.patch_owner(&pod, mine).await?;
                }
            }
            for pod in self.owned(set) {
                if pod.metadata.deletion_timestamp.is_none() && !matches(&pod) {
                    let uid = set.metadata.uid.as_deref();
                    self.patch_owner(&pod, json!([{ "$patch": "delete", "uid": uid }]))
                        .await?;
                }
            }
        }
        Ok(self.owned(set))
    }

    async fn patch_owner(&self, pod: &Pod, owners: serde_json::Value) -> Result<(), Error> {
        let key = Key::of(pod);
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patch = json!({ "metadata": { "uid": pod.metadata.uid, "ownerReferences": owners } });
        let patched = api
            .patch(&key.name, &PatchParams::default(), &Patch::Strategic(patch))
            .await
            .map_err(Error::api("patch owner of", "Pod", &key))?;
        self.cluster.pods.note(patched);
        Ok(())
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
