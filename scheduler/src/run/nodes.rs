//! What becomes of the cache and the queue when nodes change.

use follow::Event;
use tokio::time::Instant;

use super::Scheduler;
use crate::happened::Happened;
use crate::object::Node;

const KIND: &str = "Node";

impl Scheduler {
    pub(super) fn on_node(&mut self, event: Event<Node>) {
        match event {
            Event::Init => drop(self.listed.remove(KIND)),
            Event::InitApply(node) => {
                let name = node.metadata.name.as_deref().unwrap_or_default();
                self.list(KIND, name.into());
                self.set_node(&node);
            }
            Event::InitDone { .. } => {
                let listed = self.listed.remove(KIND).unwrap_or_default();
                for name in self.cluster.cache.node_names() {
                    if !listed.contains(&name) {
                        self.remove_node(&name);
                    }
                }
                self.unknown.remove(KIND);
            }
            Event::Apply(node) => self.set_node(&node),
            Event::Delete(node) => {
                self.remove_node(node.metadata.name.as_deref().unwrap_or_default());
            }
        }
    }

    /// A heartbeat changes nothing that a pod could wait for.
    fn set_node(&mut self, node: &Node) {
        let cache = &mut self.cluster.cache;
        let Some(change) = cache.set_node(node) else {
            return;
        };
        let now = cache.node(change.index);
        let happened = match &change.before {
            None => Happened::NodeAdded(now),
            Some(before) => Happened::NodeChanged { before, now },
        };
        self.queue.wake(&happened, Instant::now());
    }

    fn remove_node(&mut self, name: &str) {
        if self.cluster.cache.remove_node(name) {
            self.queue.wake(&Happened::NodeRemoved, Instant::now());
        }
    }
}
