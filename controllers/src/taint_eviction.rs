//! Pods leave a node that is tainted `NoExecute`, at once or after the time
//! that they tolerate.

mod tolerance;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::Recorder;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod as FullPod, Taint, Toleration};
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::disruption;
use crate::error::Error;
use crate::key::Key;
use crate::object::{Node, Pod};
use crate::queue::Queue;
use tolerance::Verdict;

const WORKERS: usize = 8;

struct TaintEviction {
    cluster: Cluster,
    recorder: Recorder,
    /// The pods that will leave, unless their node's taints go first.
    waiting: Mutex<HashMap<Key, Waiting>>,
}

/// A taint need not say when it was added; then it is when it was first seen.
#[derive(Clone)]
struct Waiting {
    uid: Option<String>,
    since: Timestamp,
    due: Option<Due>,
}

/// When a pod goes, by a clock that nobody sets, and what that was made of.
type Due = (Instant, Vec<Taint>, Vec<Toleration>);

impl Waiting {
    /// What is left of a wait that was begun for the same reasons: a clock that was set since
    /// makes it neither longer nor shorter.
    fn left(&self, taints: &[Taint], tolerations: &[Toleration], now: Instant) -> Option<Verdict> {
        let (due, for_taints, with) = self.due.as_ref()?;
        if for_taints != taints || with != tolerations {
            return None;
        }
        let left = due.saturating_duration_since(now);
        Some(if left.is_zero() {
            Verdict::Leave
        } else {
            Verdict::LeaveAfter(left)
        })
    }
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    notice_taints(cluster, &queue);
    notice_pods(cluster, &queue);
    let controller = TaintEviction {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("taint-eviction-controller"),
        waiting: Mutex::default(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn notice_taints(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, cluster_view) = (queue.clone(), cluster.clone());
    cluster.nodes.on_change(move |old, new| {
        let Some(node) = new else { return };
        let now: Vec<&Taint> = driving(node).collect();
        let before: Vec<&Taint> = old.into_iter().flat_map(driving).collect();
        if now != before {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            for pod in cluster_view.pods_on(name) {
                queue.add(Key::of(&*pod));
            }
        }
    });
}

fn notice_pods(cluster: &Cluster, queue: &Arc<Queue>) {
    let (queue, nodes) = (queue.clone(), cluster.nodes.clone());
    cluster.pods.on_change(move |_, new| {
        let node = |pod: &Pod| nodes.get(&Key::new("", pod.spec.node_name.as_deref()?));
        if let Some(pod) = new
            && node(pod).is_some_and(|node| driving(&node).next().is_some())
        {
            queue.add(Key::of(pod));
        }
    });
}

/// None if it is further away than the clock can count.
fn due(wait: Duration, taints: Vec<Taint>, tolerations: &[Toleration]) -> Option<Due> {
    let due = Instant::now().checked_add(wait)?;
    Some((due, taints, tolerations.to_vec()))
}

/// The taints that drive pods off.
fn driving(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec.taints.iter().filter(|t| t.effect == "NoExecute")
}

impl Controller for TaintEviction {
    const NAME: &'static str = "taint-eviction";

    async fn informed(&self) {
        self.cluster.nodes.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(taints) = self.taints_around(key) else {
            self.cancel(key);
            return Ok(Next::WhenChanged);
        };
        // Tolerations are not kept in memory for the few that are ever needed.
        let api: Api<FullPod> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        let pod = api.get_opt(&key.name).await;
        let pod = pod.map_err(Error::api("get", "Pod", key))?;
        let Some(pod) = pod.filter(|p| p.metadata.deletion_timestamp.is_none()) else {
            self.waiting().remove(key);
            return Ok(Next::WhenChanged);
        };
        let tolerations = pod.spec.as_ref().and_then(|s| s.tolerations.as_deref());
        let now = Timestamp::now();
        let mut waiting = self.since(key, &pod, now);
        let tolerations = tolerations.unwrap_or_default();
        let known = waiting.left(&taints, tolerations, Instant::now());
        let verdict =
            known.unwrap_or_else(|| tolerance::verdict(&taints, tolerations, waiting.since, now));
        match verdict {
            Verdict::Stay => {
                self.cancel(key);
                Ok(Next::WhenChanged)
            }
            Verdict::LeaveAfter(wait) => {
                if known.is_none() {
                    waiting.due = due(wait, taints, tolerations);
                }
                self.waiting().insert(key.clone(), waiting);
                Ok(Next::After(wait))
            }
            Verdict::Leave => {
                self.evict(key, &pod).await?;
                self.waiting().remove(key);
                Ok(Next::WhenChanged)
            }
        }
    }
}

impl TaintEviction {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Key, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the pod waits to leave; from now on if it does not yet.
    fn since(&self, key: &Key, pod: &FullPod, now: Timestamp) -> Waiting {
        let uid = pod.metadata.uid.clone();
        let known = self.waiting().get(key).filter(|w| w.uid == uid).cloned();
        known.unwrap_or(Waiting {
            uid,
            since: now,
            due: None,
        })
    }

    /// The pod stays after all.
    fn cancel(&self, key: &Key) {
        let was_to_leave = self.waiting().remove(key);
        if let Some(waiting) = was_to_leave
            && let Some(pod) = self.cluster.pods.get(key)
            && pod.metadata.uid == waiting.uid
        {
            let note = format!("Cancelling deletion of Pod {key}");
            self.recorder.normal(&*pod, "TaintManagerEviction", note);
        }
    }

    fn taints_around(&self, pod: &Key) -> Option<Vec<Taint>> {
        let pod = self.cluster.pods.get(pod)?;
        let node = self
            .cluster
            .nodes
            .get(&Key::new("", pod.spec.node_name.as_deref()?))?;
        let taints: Vec<Taint> = driving(&node).cloned().collect();
        (!taints.is_empty()).then_some(taints)
    }

    async fn evict(&self, key: &Key, pod: &FullPod) -> Result<(), Error> {
        self.recorder.normal(
            pod,
            "TaintManagerEviction",
            format!("Marking for deletion Pod {key}"),
        );
        let reason = disruption::Reason {
            reason: "DeletionByTaintManager",
            message: "Taint manager: deleting due to NoExecute taint",
            phase: None,
        };
        disruption::announce(
            &self.cluster.client,
            key,
            pod.metadata.uid.as_deref(),
            &reason,
        )
        .await?;
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: pod.metadata.uid.clone(),
            resource_version: None,
        });
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        match api.delete(&key.name, &params).await {
            Ok(answer) => {
                if let Some(ending) = answer.left() {
                    self.cluster.pods.note(ending);
                }
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::api("evict", "Pod", key)(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_wait_is_as_long_whatever_the_time_of_day_says() {
        let taints = |key: &str| -> Vec<Taint> {
            serde_json::from_value(json!([{ "key": key, "effect": "NoExecute" }])).unwrap()
        };
        let begun = Instant::now();
        let mut waiting = Waiting {
            uid: None,
            since: Timestamp::MAX,
            due: None,
        };
        assert_eq!(waiting.left(&taints("a"), &[], begun), None);
        let due = begun + Duration::from_secs(300);
        waiting.due = Some((due, taints("a"), Vec::new()));
        let left = |seconds| {
            let now = begun + Duration::from_secs(seconds);
            waiting.left(&taints("a"), &[], now)
        };
        let second = Duration::from_secs(1);
        assert_eq!(left(299), Some(Verdict::LeaveAfter(second)));
        assert_eq!(left(300), Some(Verdict::Leave));
        // Another taint is another wait.
        assert_eq!(waiting.left(&taints("b"), &[], begun), None);
        let tolerations = [Toleration::default()];
        assert_eq!(waiting.left(&taints("a"), &tolerations, begun), None);
    }
}
