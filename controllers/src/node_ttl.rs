//! Tells each node's agent for how long it may keep what it has read, by how many nodes ask.

use std::sync::atomic::{AtomicUsize, Ordering};

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::{self, Controller, Next};
use crate::error::Error;
use crate::key::Key;
use crate::object::Node;
use crate::queue::Queue;

const TTL: &str = "node.alpha.kubernetes.io/ttl";
const WORKERS: usize = 1;

/// So many nodes, so many seconds. Steps overlap, so that a cluster at an edge does not
/// swing between two.
struct Step {
    fewest: usize,
    most: usize,
    seconds: &'static str,
}

const STEPS: &[Step] = &[
    step(0, 100, "0"),
    step(90, 500, "15"),
    step(450, 1000, "30"),
    step(900, 2000, "60"),
    step(1800, usize::MAX, "300"),
];

const fn step(fewest: usize, most: usize, seconds: &'static str) -> Step {
    Step {
        fewest,
        most,
        seconds,
    }
}

/// The step for so many nodes, from the one that held before.
fn next(mut at: usize, nodes: usize) -> usize {
    while nodes > STEPS[at].most {
        at += 1;
    }
    while nodes < STEPS[at].fewest {
        at -= 1;
    }
    at
}

struct NodeTtl {
    cluster: Cluster,
    step: AtomicUsize,
}

pub fn start(cluster: &Cluster, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
    let queue = Queue::new();
    let nodes = queue.clone();
    cluster.nodes.on_change(move |_, new| {
        if let Some(node) = new {
            nodes.add(Key::of(node));
        }
    });
    let controller = NodeTtl {
        cluster: cluster.clone(),
        step: AtomicUsize::new(0),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for NodeTtl {
    const NAME: &'static str = "ttl";

    async fn informed(&self) {
        self.cluster.nodes.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(node) = self.cluster.nodes.get(key) else {
            return Ok(Next::WhenChanged);
        };
        let step = next(
            self.step.load(Ordering::Relaxed),
            self.cluster.nodes.all().len(),
        );
        self.step.store(step, Ordering::Relaxed);
        let wanted = STEPS[step].seconds;
        let annotations = node.metadata.annotations.as_ref();
        if annotations.and_then(|a| a.get(TTL)).map(String::as_str) == Some(wanted) {
            return Ok(Next::WhenChanged);
        }
        let patch = json!({
            "metadata": { "uid": node.metadata.uid, "annotations": { TTL: wanted } },
        });
        let api: Api<Node> = Api::all(self.cluster.client.clone());
        let patched = api
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("annotate", "Node", key))?;
        self.cluster.nodes.note(patched);
        Ok(Next::WhenChanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_more_nodes_may_keep_things_longer() {
        let seconds = |nodes| STEPS[next(0, nodes)].seconds;
        assert_eq!(
            [1, 100, 101, 501, 1001, 5000].map(seconds),
            ["0", "0", "15", "30", "60", "300"]
        );
    }

    #[test]
    fn a_cluster_at_an_edge_stays_where_it_is() {
        assert_eq!((next(1, 95), next(1, 89), next(4, 0)), (1, 0, 0));
    }
}
