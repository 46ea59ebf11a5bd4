//! Node lifecycle: a node that falls silent is not ready, and everybody is told
//! by its conditions, its taints and the readiness of its pods.
//!
//! A node lives as long as it renews its Lease (or posts its status). What
//! counts is when we saw that, by our own clock: clocks of nodes may be wrong.
//! There is one timer, for the node that would expire first.

mod health;
mod pods;
mod taints;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::Recorder;
use k8s_openapi::api::core::v1::{NodeCondition, Taint};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::Node;
use crate::queue::Queue;
use crate::run::Config;

/// One worker: whether a node is evicted depends on how the others are.
const WORKERS: usize = 1;

struct NodeLifecycle {
    cluster: Cluster,
    recorder: Recorder,
    signs: Arc<Signs>,
    grace: Duration,
    startup_grace: Duration,
}

/// The last sign of life of each node.
#[derive(Default)]
struct Signs {
    last: Mutex<HashMap<Key, Instant>>,
}

impl Signs {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, node: Key) {
        self.lock().insert(node, Instant::now());
    }

    /// When the node was last heard of; now, if it is new to us.
    fn last(&self, node: &Key) -> Instant {
        *self.lock().entry(node.clone()).or_insert_with(Instant::now)
    }
}

pub fn start(
    config: &Config,
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let (queue, signs) = (Queue::new(), Arc::new(Signs::default()));
    notice_leases(cluster, &signs);
    notice_nodes(cluster, &queue, &signs);
    let controller = NodeLifecycle {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("node-controller"),
        signs,
        grace: config.node_monitor_grace_period,
        startup_grace: config.node_startup_grace_period,
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

/// A renewed lease only puts the node's end off: there is nothing to do now.
fn notice_leases(cluster: &Cluster, signs: &Arc<Signs>) {
    let signs = signs.clone();
    cluster.node_leases.on_change(move |old, new| {
        if let Some(lease) = new
            && old.is_none_or(|old| old.spec.renew_time != lease.spec.renew_time)
        {
            signs.note(Key::new(
                "",
                lease.metadata.name.as_deref().unwrap_or_default(),
            ));
        }
    });
}

fn notice_nodes(cluster: &Cluster, queue: &Arc<Queue>, signs: &Arc<Signs>) {
    let (queue, signs, nodes) = (queue.clone(), signs.clone(), cluster.nodes.clone());
    cluster.nodes.on_change(move |old, new| {
        let Some(node) = new.or(old) else { return };
        queue.add(Key::of(node));
        if heartbeat(old) != heartbeat(new) && new.is_some() {
            signs.note(Key::of(node));
        }
        let is_ready = |node: Option<&Node>| node.is_some_and(Node::is_ready);
        if is_ready(old) != is_ready(new) {
            let unready = nodes.all().into_iter().filter(|n| !n.is_ready());
            unready.for_each(|node| queue.add(Key::of(&*node)));
        }
    });
}

fn heartbeat(node: Option<&Node>) -> Option<jiff::Timestamp> {
    let ready = node?.condition(health::READY)?;
    ready.last_heartbeat_time.as_ref().map(|t| t.0)
}

impl Controller for NodeLifecycle {
    const NAME: &'static str = "node-lifecycle";

    async fn informed(&self) {
        self.cluster.nodes.synced().await;
        self.cluster.node_leases.synced().await;
        self.cluster.pods.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(mut node) = self.cluster.nodes.get(key) else {
            self.signs.lock().remove(key);
            return Ok(Next::WhenChanged);
        };
        let left = self.time_left(key, &node);
        if left.is_zero() {
            if let Some(conditions) = health::silent(&node, jiff::Timestamp::now()) {
                if node.is_ready() {
                    let note = format!("Node {} status is now: NodeNotReady", key.name);
                    self.recorder.normal(&*node, "NodeNotReady", note);
                }
                node = self.write_conditions(key, &node, conditions).await?;
            }
            self.mark_pods_unready(key).await?;
        }
        self.write_taints(key, &node).await?;
        Ok(if left.is_zero() {
            Next::WhenChanged
        } else {
            Next::After(left)
        })
    }
}

impl NodeLifecycle {
    /// How long the node may stay silent from now on.
    fn time_left(&self, key: &Key, node: &Node) -> Duration {
        let grace = match node.condition(health::READY) {
            Some(_) => self.grace,
            None => self.startup_grace,
        };
        (self.signs.last(key) + grace).saturating_duration_since(Instant::now())
    }

    async fn write_conditions(
        &self,
        key: &Key,
        node: &Node,
        conditions: Vec<NodeCondition>,
    ) -> Result<Arc<Node>, Error> {
        let patch = json!({
            "metadata": { "resourceVersion": node.metadata.resource_version },
            "status": { "conditions": conditions },
        });
        let api: Api<Node> = Api::all(self.cluster.client.clone());
        let patched = api
            .patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("write status of", "Node", key))?;
        self.cluster.nodes.note(patched.clone());
        Ok(Arc::new(patched))
    }

    async fn write_taints(&self, key: &Key, node: &Node) -> Result<(), Error> {
        // Where no node is well, the fault is likely ours: nobody is evicted,
        // and there is nowhere to go.
        let may_evict = self.cluster.nodes.any(Node::is_ready);
        let wanted = taints::wanted(node, may_evict, jiff::Timestamp::now());
        if wanted == node.spec.taints {
            return Ok(());
        }
        let patch = json!({
            "metadata": { "resourceVersion": node.metadata.resource_version },
            "spec": { "taints": or_null(&wanted) },
        });
        let api: Api<Node> = Api::all(self.cluster.client.clone());
        let patched = api
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("taint", "Node", key))?;
        self.cluster.nodes.note(patched);
        Ok(())
    }
}

fn or_null(taints: &[Taint]) -> Value {
    if taints.is_empty() {
        return Value::Null;
    }
    json!(taints)
}
