//! Each node gets a range of pod addresses of its own, for as long as it lives.

use std::collections::HashSet;

use events::Recorder;
use ipnet::Ipv4Net;
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
use crate::run::Config;

/// What a node gets: 256 addresses.
const NODE_PREFIX: u8 = 24;
/// One worker: two nodes must not be given the same range.
const WORKERS: usize = 1;

struct NodeIpam {
    cluster: Cluster,
    recorder: Recorder,
    range: Ipv4Net,
}

pub fn start(
    config: &Config,
    cluster: &Cluster,
    tasks: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) {
    let queue = Queue::new();
    let nodes = queue.clone();
    cluster.nodes.on_change(move |_, new| {
        if let Some(node) = new.filter(|node| node.spec.pod_cidr.is_none()) {
            nodes.add(Key::of(node));
        }
    });
    let controller = NodeIpam {
        cluster: cluster.clone(),
        recorder: cluster.events.recorder("cidrAllocator"),
        range: config.cluster_cidr.trunc(),
    };
    controller::start(tasks, controller, queue, WORKERS, shutdown);
}

impl Controller for NodeIpam {
    const NAME: &'static str = "node-ipam";

    async fn informed(&self) {
        self.cluster.nodes.synced().await;
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let node = self.cluster.nodes.get(key);
        let Some(node) = node.filter(|node| node.spec.pod_cidr.is_none()) else {
            return Ok(Next::WhenChanged);
        };
        let taken = self.cluster.nodes.all();
        let taken = taken.iter().filter_map(|n| n.spec.pod_cidr.as_deref());
        let Some(range) = first_free(self.range, taken) else {
            let note = "Node status is now: CIDRNotAvailable".to_owned();
            self.recorder.normal(&*node, "CIDRNotAvailable", note);
            return Err(Error::NoRangeLeft {
                node: key.clone(),
                range: self.range,
            });
        };
        let range = range.to_string();
        let patch = json!({
            "metadata": { "uid": node.metadata.uid },
            "spec": { "podCIDR": range, "podCIDRs": [range] },
        });
        let api: Api<Node> = Api::all(self.cluster.client.clone());
        let patched = api
            .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map_err(Error::api("give a pod range to", "Node", key))?;
        self.cluster.nodes.note(patched);
        Ok(Next::WhenChanged)
    }
}

/// The lowest range for a node that overlaps none of those taken.
fn first_free<'a>(range: Ipv4Net, taken: impl Iterator<Item = &'a str>) -> Option<Ipv4Net> {
    let prefix = range.prefix_len().max(NODE_PREFIX);
    let taken: Vec<Ipv4Net> = taken.filter_map(|text| text.parse().ok()).collect();
    let alike: HashSet<Ipv4Net> = taken.iter().map(Ipv4Net::trunc).collect();
    // Ranges of another size are left from another configuration, and few.
    let odd: Vec<&Ipv4Net> = taken.iter().filter(|t| t.prefix_len() != prefix).collect();
    let overlaps = |a: &Ipv4Net, b: &Ipv4Net| a.contains(&b.network()) || b.contains(&a.network());
    let mut candidates = range.subnets(prefix).ok()?;
    candidates.find(|c| !alike.contains(c) && !odd.iter().any(|o| overlaps(c, o)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(range: &str, taken: &[&str]) -> Option<String> {
        first_free(range.parse().unwrap(), taken.iter().copied()).map(|net| net.to_string())
    }

    #[test]
    fn first_node_gets_the_first_range_and_the_next_the_next() {
        assert_eq!(free("10.244.0.0/16", &[]).unwrap(), "10.244.0.0/24");
        assert_eq!(
            free("10.244.0.0/16", &["10.244.0.0/24"]).unwrap(),
            "10.244.1.0/24"
        );
    }

    #[test]
    fn range_of_a_removed_node_is_used_again() {
        let taken = ["10.244.0.0/24", "10.244.2.0/24"];
        assert_eq!(free("10.244.0.0/16", &taken).unwrap(), "10.244.1.0/24");
    }

    #[test]
    fn range_of_another_size_is_not_overlapped() {
        assert_eq!(
            free("10.244.0.0/16", &["10.244.0.0/23"]).unwrap(),
            "10.244.2.0/24"
        );
    }

    #[test]
    fn nothing_is_left_when_all_ranges_are_taken() {
        assert_eq!(free("10.0.0.0/23", &["10.0.0.0/24", "10.0.1.0/24"]), None);
    }

    #[test]
    fn cluster_smaller_than_a_node_range_serves_one_node() {
        assert_eq!(free("10.0.0.0/26", &[]).unwrap(), "10.0.0.0/26");
        assert_eq!(free("10.0.0.0/26", &["10.0.0.0/26"]), None);
    }
}
