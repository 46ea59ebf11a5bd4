//! Deployments: a ReplicaSet for each template there was, and the replicas
//! moved from the old ones to the new one at the pace of the strategy.

mod annotation;
mod conditions;
mod history;
mod new_set;
mod recreate;
mod rolling;
mod scale;
mod status;
mod strategy;

use std::sync::Arc;
use std::time::Duration;

use apimachinery::selector::LabelSelector;
use events::Recorder;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::{Deployment, ReplicaSet};
use crate::owner;
use crate::queue::Queue;

const WORKERS: usize = 5;

struct Deployments {
    cluster: Cluster,
    recorder: Recorder,
}

/// One Deployment and its ReplicaSets, as one reconcile sees them.
struct Rollout {
    key: Key,
    deployment: Arc<Deployment>,
    /// The ReplicaSet of today's template.
    new: Option<Arc<ReplicaSet>>,
    /// All others, oldest first.
    old: Vec<Arc<ReplicaSet>>,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    notice_deployments(cluster, &queue);
    notice_replica_sets(cluster, &queue);
    notice_lost_pods(cluster, &queue);
    let controller = Deployments {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("deployment-controller"),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn notice_deployments(cluster: &Cluster, queue: &Arc<Queue>) {
    let queue = queue.clone();
    cluster.deployments.on_change(move |old, new| {
        if let Some(deployment) = new.or(old) {
            queue.add(Key::of(deployment));
        }
    });
}

fn notice_replica_sets(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, deployments) = (queue.clone(), cluster.deployments.clone());
    cluster.replica_sets.on_change(move |old, new| {
        for set in [old, new].into_iter().flatten() {
            let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
            match owner::controller(&set.metadata) {
                Some(owner) if owner.kind == "Deployment" => {
                    queue.add(Key::new(namespace, &owner.name));
                }
                Some(_) => {}
                None => deployments
                    .in_namespace(namespace)
                    .iter()
                    .for_each(|deployment| queue.add(Key::of(&**deployment))),
            }
        }
    });
}

/// `Recreate` waits until the last old pod is gone, which changes no ReplicaSet.
fn notice_lost_pods(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, sets) = (queue.clone(), cluster.replica_sets.clone());
    cluster.pods.on_change(move |old, new| {
        let (Some(pod), None) = (old, new) else {
            return;
        };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let set = owner::controller(&pod.metadata)
            .filter(|owner| owner.kind == "ReplicaSet")
            .and_then(|owner| sets.get(&Key::new(namespace, &owner.name)));
        let deployment = set.as_ref().and_then(|s| owner::controller(&s.metadata));
        if let Some(deployment) = deployment {
            queue.add(Key::new(namespace, &deployment.name));
        }
    });
}

impl Controller for Deployments {
    const NAME: &'static str = "deployment";
    const REST: u32 = 1;

    async fn informed(&self) {
        self.cluster.deployments.synced().await;
        self.cluster.replica_sets.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(deployment) = self.cluster.deployments.get(key) else {
            return Ok(Next::WhenChanged);
        };
        if deployment.metadata.deletion_timestamp.is_some() {
            let rollout = self.rollout(key, deployment);
            self.write_status(&rollout).await?;
            return Ok(Next::WhenChanged);
        }
        self.claim(key, &deployment).await?;
        let mut rollout = self.rollout(key, deployment);
        self.note_pause(&mut rollout).await?;
        if rollout.deployment.spec.paused || rollout.is_scaled() {
            self.revise_existing(&mut rollout).await?;
            self.scale_all(&mut rollout).await?;
        } else if rollout.is_recreate() {
            self.recreate(&mut rollout).await?;
        } else {
            self.roll(&mut rollout).await?;
        }
        self.clean_up(&rollout).await?;
        self.write_status(&rollout).await?;
        Ok(next_look(&rollout))
    }
}

impl Deployments {
    fn rollout(&self, key: &Key, deployment: Arc<Deployment>) -> Rollout {
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        let mut old = self.cluster.replica_sets.owned_by(uid);
        old.sort_by_key(|set| set.metadata.creation_timestamp.as_ref().map(|t| t.0));
        // Two sets of one template can only come from a hash collision; the
        // older one is it, as in Kubernetes.
        let at = old
            .iter()
            .position(|set| new_set::is_of_template(set, &deployment.spec.template));
        let new = at.map(|at| old.remove(at));
        Rollout {
            key: key.clone(),
            deployment,
            new,
            old,
        }
    }

    /// Adopts ReplicaSets that match, lets go of those that no longer do.
    async fn claim(&self, key: &Key, deployment: &Deployment) -> Result<(), Error> {
        let selector =
            LabelSelector::from_object(&deployment.spec.selector).map_err(|e| Error::Selector {
                kind: "Deployment",
                key: key.clone(),
                reason: e.to_string(),
            })?;
        let matches = |set: &ReplicaSet| {
            let labels = set.metadata.labels.as_ref();
            owner::selects(&selector, |name| labels?.get(name).map(String::as_str))
        };
        for set in self.cluster.replica_sets.orphans(&key.namespace) {
            if set.metadata.deletion_timestamp.is_none() && matches(&set) {
                let mine = json!([owner::reference(deployment)]);
                self.patch_owner(&set, mine).await?;
            }
        }
        let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
        for set in self.cluster.replica_sets.owned_by(uid) {
            if set.metadata.deletion_timestamp.is_none() && !matches(&set) {
                self.patch_owner(&set, json!([{ "$patch": "delete", "uid": uid }]))
                    .await?;
            }
        }
        Ok(())
    }

    async fn patch_owner(&self, set: &ReplicaSet, owners: Value) -> Result<(), Error> {
        let patch = json!({ "metadata": { "uid": set.metadata.uid, "ownerReferences": owners } });
        self.patch_set(set, &Patch::Strategic(patch))
            .await
            .map(drop)
    }

    async fn patch_set(
        &self,
        set: &ReplicaSet,
        patch: &Patch<Value>,
    ) -> Result<Arc<ReplicaSet>, Error> {
        let key = Key::of(set);
        let api: Api<ReplicaSet> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patched = api
            .patch(&key.name, &PatchParams::default(), patch)
            .await
            .map_err(Error::api("patch", "ReplicaSet", &key))?;
        self.cluster.replica_sets.note(patched.clone());
        Ok(Arc::new(patched))
    }

    async fn patch_deployment(&self, rollout: &mut Rollout, metadata: Value) -> Result<(), Error> {
        let key = &rollout.key;
        let api: Api<Deployment> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        let patched = api
            .patch(&key.name, &PatchParams::default(), &patch)
            .await
            .map_err(Error::api("patch", "Deployment", key))?;
        self.cluster.deployments.note(patched.clone());
        rollout.deployment = Arc::new(patched);
        Ok(())
    }
}

impl Rollout {
    fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    fn replicas(&self) -> i32 {
        self.deployment.spec.replicas
    }

    fn is_recreate(&self) -> bool {
        self.deployment.spec.strategy.type_.as_deref() == Some("Recreate")
    }
}

fn sum<'a>(
    sets: impl Iterator<Item = &'a Arc<ReplicaSet>>,
    of: impl Fn(&ReplicaSet) -> i32,
) -> i32 {
    sets.map(|set| of(set)).sum()
}

fn available(set: &ReplicaSet) -> i32 {
    set.status.available_replicas.unwrap_or(0)
}

/// A rollout that stands still must be reported when its deadline passes.
fn next_look(rollout: &Rollout) -> Next {
    match conditions::until_deadline(rollout, jiff::Timestamp::now()) {
        Some(wait) => Next::After(wait + Duration::from_secs(1)),
        None => Next::WhenChanged,
    }
}

#[cfg(test)]
mod tests;
