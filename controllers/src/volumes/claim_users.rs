//! Which pods name which claims.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cluster::Cluster;
use crate::informer::Informer;
use crate::key::Key;
use crate::object::{PersistentVolumeClaim, Pod};
use crate::owner;
use crate::queue::Queue;

/// The pods by the claims they name, and who wants to hear of changes.
pub struct ClaimUsers {
    pods: Arc<Informer<Pod>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    users: HashMap<Key, BTreeSet<Key>>,
    queues: Vec<Arc<Queue>>,
}

impl ClaimUsers {
    /// Keeps up with the pods from now on.
    pub fn follow(cluster: &Cluster) -> Arc<Self> {
        let users = Arc::new(Self {
            pods: cluster.pods.clone(),
            state: Mutex::default(),
        });
        let following = users.clone();
        cluster
            .pods
            .on_change(move |old, new| following.pod_changed(old, new));
        users
    }

    /// Puts a claim into `queue` when a pod that names it comes, gets a node or goes.
    pub fn notice(&self, queue: &Arc<Queue>) {
        self.lock().queues.push(queue.clone());
    }

    /// The pods that name the claim.
    pub fn of(&self, claim: &Key) -> Vec<Arc<Pod>> {
        let state = self.lock();
        let pods = state.users.get(claim).into_iter().flatten();
        pods.filter_map(|pod| self.pods.get(pod)).collect()
    }

    fn pod_changed(&self, old: Option<&Pod>, new: Option<&Pod>) {
        let Some(pod) = new.or(old) else { return };
        if pod.spec.claims.is_empty() || stage(old) == stage(new) {
            return;
        }
        let mut state = self.lock();
        for claim in claims(pod) {
            state.note(&claim, Key::of(pod), new.is_some());
            for queue in &state.queues {
                queue.add(claim.clone());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, claim: &Key, pod: Key, is_there: bool) {
        let users = self.users.entry(claim.clone()).or_default();
        if is_there {
            users.insert(pod);
        } else {
            users.remove(&pod);
        }
        if users.is_empty() {
            self.users.remove(claim);
        }
    }
}

/// As far as its claims are concerned: whether it is there, has a node, is shut down.
fn stage(pod: Option<&Pod>) -> Option<(bool, bool)> {
    pod.map(|pod| (pod.spec.node_name.is_some(), is_shut_down(pod)))
}

/// The claims that a pod names.
pub fn claims(pod: &Pod) -> impl Iterator<Item = Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let claims = pod.spec.claims.iter();
    claims.map(move |claim| Key::new(namespace, &claim.name))
}

/// Whether the claim must stay because of the pod. A pod without a node does not
/// count: no kubelet starts it with a claim that is ending. A finished one does: its
/// node may still have the volume mounted, and Kubernetes counts it.
pub fn holds(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    if pod.spec.node_name.is_none() {
        return false;
    }
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    pod.spec.claims.iter().any(|used| {
        let is_held = !used.is_ephemeral || (!is_shut_down(pod) && is_made_for(claim, pod));
        *used.name == *name && is_held
    })
}

/// The claim of one of the pod's ephemeral volumes.
pub fn is_made_for(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    let owner = owner::controller(&claim.metadata);
    owner.is_some_and(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref())
}

/// Its node is done with it, and only finalizers keep it. A claim that is ending
/// must not wait for those: they may wait for the claim.
fn is_shut_down(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
        && pod.metadata.deletion_grace_period_seconds == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(node: Option<&str>, metadata: Value) -> Pod {
        let mut pod = json!({ "metadata": { "name": "p", "namespace": "n", "uid": "u" },
            "spec": { "nodeName": node, "volumes": [
                { "name": "a", "persistentVolumeClaim": { "claimName": "c" } },
                { "name": "e", "ephemeral": { "volumeClaimTemplate": {} } } ] } });
        let fields = metadata.as_object().cloned().unwrap_or_default();
        pod["metadata"].as_object_mut().unwrap().extend(fields);
        serde_json::from_value(pod).unwrap()
    }

    fn claim(name: &str, owner: &str) -> PersistentVolumeClaim {
        let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": owner, "controller": true });
        let metadata = json!({ "name": name, "namespace": "n", "ownerReferences": [owner] });
        serde_json::from_value(json!({ "metadata": metadata })).unwrap()
    }

    #[test]
    fn pod_on_a_node_holds_the_claims_it_names() {
        let running = pod(Some("a"), json!({}));
        assert!(holds(&running, &claim("c", "-")));
        assert!(!holds(&running, &claim("d", "-")));
        assert!(!holds(&pod(None, json!({})), &claim("c", "-")));
    }

    #[test]
    fn ephemeral_claim_is_held_by_its_own_pod_until_that_is_shut_down() {
        let running = pod(Some("a"), json!({}));
        assert!(holds(&running, &claim("p-e", "u")));
        assert!(!holds(&running, &claim("p-e", "other")));
        let ended =
            json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0 });
        assert!(!holds(&pod(Some("a"), ended.clone()), &claim("p-e", "u")));
        assert!(holds(&pod(Some("a"), ended), &claim("c", "-")));
    }
}
