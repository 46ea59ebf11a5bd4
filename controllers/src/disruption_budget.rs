//! PodDisruptionBudgets: how many of their pods may be taken away just now.

mod count;

use std::sync::Arc;

use apimachinery::selector::LabelSelector;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::informer::{Informer, Object};
use crate::key::Key;
use crate::object::Pod;
use crate::owner;
use crate::queue::Queue;

const WORKERS: usize = 2;

struct DisruptionBudgets {
    cluster: Cluster,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    controller::notice(&cluster.disruption_budgets, &queue);
    notice_pods(cluster, &queue);
    notice_owners(cluster, &queue);
    let controller = DisruptionBudgets {
        cluster: cluster.clone(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn notice_pods(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, budgets) = (queue.clone(), cluster.disruption_budgets.clone());
    cluster.pods.on_change(move |old, new| {
        let Some(any) = new.or(old) else { return };
        let namespace = any.metadata.namespace.as_deref().unwrap_or_default();
        for budget in budgets.in_namespace(namespace) {
            let mut pods = [old, new].into_iter().flatten();
            if selector(&budget).is_some_and(|s| pods.any(|pod| selects(&s, pod))) {
                queue.add(Key::of(&*budget));
            }
        }
    });
}

/// A share of the pods is one of those there should be.
fn notice_owners(cluster: &Cluster, queue: &Arc<Queue>) {
    notice_replicas(&cluster.replica_sets, cluster, queue, |s| s.spec.replicas);
    let controllers = &cluster.replication_controllers;
    notice_replicas(controllers, cluster, queue, |c| c.spec.replicas);
    notice_replicas(&cluster.stateful_sets, cluster, queue, |s| s.spec.replicas);
}

fn notice_replicas<K: Object>(
    owners: &Informer<K>,
    cluster: &Cluster,
    queue: &Arc<Queue>,
    replicas: impl Fn(&K) -> i32 + Send + Sync + 'static,
) {
    let (queue, budgets) = (queue.clone(), cluster.disruption_budgets.clone());
    owners.on_change(move |old, new| {
        let counts = [old, new].map(|owner| owner.map(&replicas));
        let Some(owner) = new.or(old).filter(|_| counts[0] != counts[1]) else {
            return;
        };
        let namespace = controller::namespace_of(owner).name;
        for budget in budgets.in_namespace(&namespace) {
            queue.add(Key::of(&*budget));
        }
    });
}

fn selector(budget: &PodDisruptionBudget) -> Option<LabelSelector> {
    let selector = budget.spec.as_ref()?.selector.as_ref()?;
    LabelSelector::from_object(&json!(selector)).ok()
}

fn selects(selector: &LabelSelector, pod: &Pod) -> bool {
    owner::selects(selector, |name| pod.labels.get(name))
}

impl Controller for DisruptionBudgets {
    const NAME: &'static str = "disruption";
    const REST: u32 = 5;

    async fn informed(&self) {
        self.cluster.disruption_budgets.synced().await;
        self.cluster.replica_sets.synced().await;
        self.cluster.replication_controllers.synced().await;
        self.cluster.stateful_sets.synced().await;
        self.cluster.deployments.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(budget) = self.cluster.disruption_budgets.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let mut pods = self.cluster.pods.in_namespace(&key.namespace);
        let selector = selector(&budget);
        pods.retain(|pod| !pod.is_finished() && selector.as_ref().is_some_and(|s| selects(s, pod)));
        let wanted = self.wanted_pods(&key.namespace, &pods);
        let now = jiff::Timestamp::now();
        let status = count::status(&budget, &pods, wanted, now);
        let next = count::next_look(&status, now);
        if budget.status.as_ref() != Some(&status) {
            let patch = json!({
                "metadata": { "resourceVersion": budget.metadata.resource_version },
                "status": count::with_nulls(&status, &budget),
            });
            let api: Api<PodDisruptionBudget> =
                Api::namespaced(self.cluster.client.clone(), &key.namespace);
            let patched = api
                .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .map_err(Error::api("write status of", "PodDisruptionBudget", key))?;
            self.cluster.disruption_budgets.note(patched);
        }
        Ok(next.map_or(Next::WhenChanged, Next::After))
    }
}

impl DisruptionBudgets {
    /// The pods that the controllers of `pods` are to keep; pods without one,
    /// or with one of another kind, count for themselves.
    fn wanted_pods(&self, namespace: &str, pods: &[Arc<Pod>]) -> i32 {
        let mut seen = std::collections::BTreeSet::new();
        let mut wanted = 0;
        for pod in pods {
            let owner = owner::controller(&pod.metadata);
            let Some((uid, replicas)) = owner.and_then(|o| self.scale_of(namespace, o)) else {
                wanted += 1;
                continue;
            };
            if seen.insert(uid) {
                wanted += replicas;
            }
        }
        wanted
    }

    /// What stands behind a pod, and how many pods it is to keep; nothing for
    /// an owner of a kind that says no number.
    fn scale_of(&self, namespace: &str, owner: &OwnerReference) -> Option<(String, i32)> {
        let key = Key::new(namespace, &owner.name);
        let replicas = match owner.kind.as_str() {
            "ReplicaSet" => return Some(self.scale_of_set(&key, &owner.uid)),
            "ReplicationController" => {
                let controller = self.cluster.replication_controllers.get(&key);
                controller.map(|c| c.spec.replicas)
            }
            "StatefulSet" => self
                .cluster
                .stateful_sets
                .get(&key)
                .map(|s| s.spec.replicas),
            _ => return None,
        };
        Some((owner.uid.clone(), replicas.unwrap_or(0)))
    }

    /// What stands behind a pod's ReplicaSet: its Deployment, or itself.
    fn scale_of_set(&self, key: &Key, uid: &str) -> (String, i32) {
        let set = self.cluster.replica_sets.get(key);
        let owner = set.as_ref().and_then(|s| owner::controller(&s.metadata));
        let deployment = owner.filter(|o| o.kind == "Deployment").and_then(|o| {
            let found = self
                .cluster
                .deployments
                .get(&Key::new(&key.namespace, &o.name))?;
            Some((o.uid.clone(), found.spec.replicas))
        });
        deployment.unwrap_or_else(|| (uid.to_owned(), set.map_or(0, |s| s.spec.replicas)))
    }
}
