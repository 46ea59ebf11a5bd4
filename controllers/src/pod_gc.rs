//! Pods that nobody else will ever remove: of nodes that are gone, ending
//! before they got a node, and finished ones above a number.

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::disruption;
use crate::error::Error;
use crate::key::Key;
use crate::object::{Node, Pod};
use crate::queue::Queue;
use crate::run::Config;

const WORKERS: usize = 4;
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// Finished pods are counted some time after one has finished.
const COUNT_AFTER: Duration = Duration::from_secs(20);

struct PodGc {
    cluster: Cluster,
    queue: Arc<Queue>,
    quarantine: Duration,
    finished_kept: usize,
}

/// Stands for all pods: those there at the start are looked at once.
fn all() -> Key {
    Key::new("", "all")
}

/// Stands for the finished pods.
fn finished() -> Key {
    Key::new("", "finished")
}

pub fn start(
    config: &Config,
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    queue.add(all());
    notice_pods(cluster, &queue, config.lost_node_quarantine);
    notice_nodes(cluster, &queue, config.lost_node_quarantine);
    let controller = PodGc {
        cluster: cluster.clone(),
        queue: queue.clone(),
        quarantine: config.lost_node_quarantine,
        finished_kept: config.terminated_pods_kept,
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

fn notice_pods(cluster: &Cluster, queue: &Arc<Queue>, quarantine: Duration) {
    let (queue, nodes) = (queue.clone(), cluster.nodes.clone());
    cluster.pods.on_change(move |old, new| {
        let Some(pod) = new else { return };
        if pod.is_finished() && !old.is_some_and(Pod::is_finished) {
            queue.add_after(finished(), COUNT_AFTER);
        }
        let is_ending = pod.metadata.deletion_timestamp.is_some();
        match pod.spec.node_name.as_deref() {
            None if is_ending => queue.add(Key::of(pod)),
            None => {}
            Some(node) if nodes.is_synced() => match nodes.get(&Key::new("", node)) {
                None => queue.add_after(Key::of(pod), quarantine),
                Some(node) if is_ending && is_out_of_service(&node) => queue.add(Key::of(pod)),
                Some(_) => {}
            },
            Some(_) => {}
        }
    });
}

fn notice_nodes(cluster: &Cluster, queue: &Arc<Queue>, quarantine: Duration) {
    let (queue, cluster_view) = (queue.clone(), cluster.clone());
    cluster.nodes.on_change(move |old, new| {
        let name = |node: &Node| node.metadata.name.clone().unwrap_or_default();
        match (old, new) {
            (Some(lost), None) => {
                for pod in cluster_view.pods_on(&name(lost)) {
                    queue.add_after(Key::of(&*pod), quarantine);
                }
            }
            (_, Some(node)) if is_out_of_service(node) => {
                for pod in cluster_view.pods_on(&name(node)) {
                    queue.add(Key::of(&*pod));
                }
            }
            _ => {}
        }
    });
}

/// Somebody has said that the node is off and will not come back as it was.
fn is_out_of_service(node: &Node) -> bool {
    !node.is_ready() && node.spec.taints.iter().any(|t| t.key == OUT_OF_SERVICE)
}

impl Controller for PodGc {
    const NAME: &'static str = "pod-gc";

    async fn informed(&self) {
        self.cluster.nodes.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        if *key == all() {
            self.look_at_all();
        } else if *key == finished() {
            self.remove_finished().await?;
        } else if let Some(pod) = self.cluster.pods.get(key) {
            self.look_at(key, &pod).await?;
        }
        Ok(Next::WhenChanged)
    }
}

impl PodGc {
    fn look_at_all(&self) {
        self.queue.add(finished());
        for pod in self.cluster.pods.all() {
            match pod.spec.node_name.as_deref() {
                Some(node) if self.cluster.nodes.get(&Key::new("", node)).is_none() => {
                    self.queue.add_after(Key::of(&*pod), self.quarantine);
                }
                None if pod.metadata.deletion_timestamp.is_some() => {
                    self.queue.add(Key::of(&*pod));
                }
                _ => {}
            }
        }
    }

    async fn look_at(&self, key: &Key, pod: &Pod) -> Result<(), Error> {
        let is_ending = pod.metadata.deletion_timestamp.is_some();
        let Some(name) = pod.spec.node_name.as_deref() else {
            return if is_ending {
                self.remove(key, pod).await
            } else {
                Ok(())
            };
        };
        match self.cluster.nodes.get(&Key::new("", name)) {
            Some(node) if is_ending && is_out_of_service(&node) => self.remove(key, pod).await,
            Some(_) => Ok(()),
            None => self.remove_of_lost_node(key, pod, name).await,
        }
    }

    async fn remove_of_lost_node(&self, key: &Key, pod: &Pod, node: &str) -> Result<(), Error> {
        // The informer may be behind: only the API server knows for sure.
        let nodes: Api<Node> = Api::all(self.cluster.client.clone());
        let found = nodes.get_metadata_opt(node).await;
        let node = Key::new("", node);
        if found.map_err(Error::api("get", "Node", &node))?.is_some() {
            return Ok(());
        }
        if !pod.is_finished() {
            let reason = disruption::Reason {
                reason: "DeletionByPodGC",
                message: "PodGC: node no longer exists",
                phase: Some("Failed"),
            };
            let uid = pod.metadata.uid.as_deref();
            disruption::announce(&self.cluster.client, key, uid, &reason).await?;
        }
        self.remove(key, pod).await
    }

    /// Nobody is left to end the pod's containers: it goes without grace.
    async fn remove(&self, key: &Key, pod: &Pod) -> Result<(), Error> {
        let params = DeleteParams::default()
            .grace_period(0)
            .preconditions(Preconditions {
                uid: pod.metadata.uid.clone(),
                resource_version: None,
            });
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &key.namespace);
        match api.delete(&key.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(source) => Err(Error::api("remove", "Pod", key)(source)),
        }
    }

    async fn remove_finished(&self) -> Result<(), Error> {
        let mut pods = self.cluster.pods.all();
        pods.retain(|pod| pod.is_finished() && pod.metadata.deletion_timestamp.is_none());
        let surplus = pods.len().saturating_sub(self.finished_kept);
        pods.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|t| t.0));
        for pod in &pods[..surplus] {
            self.remove(&Key::of(&**pod), pod).await?;
        }
        Ok(())
    }
}
