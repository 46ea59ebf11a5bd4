//! What the scheduler believes about nodes and the pods on them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::classes::Classes;
use crate::object::{Node, Pod};
use crate::template::Template;

pub mod node;
mod topology;

pub use node::{NodeInfo, Offer};
use topology::Topologies;
pub use topology::{Tally, Topology};

/// A node's place in the cache, which stays its own while it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(u32);

impl NodeIndex {
    /// Where what is kept by node has this node.
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// A pod that waits for a node, or was just assumed to have one.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub key: Arc<str>,
    pub uid: Box<str>,
    pub template: Arc<Template>,
    /// The node that is being cleared for it.
    pub nominated: Option<Arc<str>>,
    /// The trace that made it, if one did.
    pub trace: Option<Box<str>>,
}

/// A pod on a node.
#[derive(Debug)]
pub struct Placed {
    pub node: NodeIndex,
    pub uid: Box<str>,
    pub template: Arc<Template>,
    /// Seconds since 1970; of a pod that has not started yet, none.
    pub started: Option<i64>,
    /// It was asked to end.
    pub is_ending: bool,
    /// It was asked to end for a pod of higher priority.
    pub is_preempted: bool,
    /// Our binding is on its way; the API does not show it yet.
    is_assumed: bool,
}

/// All nodes, and all pods that have one.
#[derive(Default)]
pub struct Cache {
    nodes: Vec<NodeInfo>,
    unused: Vec<NodeIndex>,
    by_name: HashMap<Arc<str>, NodeIndex>,
    pods: HashMap<Arc<str>, Placed>,
    pub classes: Classes,
    /// Known nodes, zones in turn, so that a part of them is a part of each zone.
    order: Vec<NodeIndex>,
    is_order_old: bool,
    /// On how many nodes an image is.
    image_nodes: HashMap<Arc<str>, u32>,
    topologies: Topologies,
}

impl Candidate {
    pub fn new(pod: &Pod, template: Arc<Template>) -> Self {
        Self {
            key: pod.key(),
            uid: pod.metadata.uid.as_deref().unwrap_or_default().into(),
            template,
            nominated: pod.nominated().map(Into::into),
            trace: pod.trace().map(Into::into),
        }
    }

    pub fn priority(&self) -> i32 {
        self.template.spec.priority()
    }

    pub fn scheduler(&self) -> &str {
        let named = self.template.spec.scheduler_name.as_deref();
        named.unwrap_or("default-scheduler")
    }

    pub fn name(&self) -> &str {
        self.key
            .split_once('/')
            .map_or(&*self.key, |(_, name)| name)
    }
}

impl Cache {
    pub fn node_count(&self) -> usize {
        self.by_name.len()
    }

    /// The nodes a pod may go to.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &NodeInfo> {
        debug_assert!(!self.is_order_old, "sort_nodes comes before a decision");
        self.order.iter().map(|index| self.node(*index))
    }

    /// The known node at this place of the order.
    pub fn node_at(&self, place: usize) -> &NodeInfo {
        self.node(self.order[place])
    }

    pub fn node(&self, index: NodeIndex) -> &NodeInfo {
        &self.nodes[index.at()]
    }

    pub fn find(&self, name: &str) -> Option<&NodeInfo> {
        let found = self.by_name.get(name).map(|index| self.node(*index));
        found.filter(|node| node.is_known)
    }

    pub fn pod(&self, key: &str) -> Option<&Placed> {
        self.pods.get(key)
    }

    /// The nodes a pod may go to, by where what is kept by node has them.
    pub fn indices(&self) -> impl Iterator<Item = NodeIndex> {
        self.order.iter().copied()
    }

    /// No node has a higher index than this.
    pub fn indices_end(&self) -> usize {
        self.nodes.len()
    }

    /// The places of known nodes by this label.
    pub fn topology(&self, key: &str) -> Arc<Topology> {
        let known = self.nodes.iter().filter(|node| node.is_known);
        self.topologies.by(key, known)
    }

    /// On how many nodes `image` is.
    pub fn nodes_with(&self, image: &str) -> u32 {
        self.image_nodes.get(image).copied().unwrap_or(0)
    }

    pub fn node_names(&self) -> Vec<Arc<str>> {
        let known = self.nodes.iter().filter(|n| n.is_known);
        known.map(|n| n.name.clone()).collect()
    }

    /// Takes over what the API says of a node; what it offered before, if that changed.
    pub fn set_node(&mut self, node: &Node) -> Option<Change> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let index = self.index(name);
        self.set_images(index, node);
        let info = &mut self.nodes[index.at()];
        let offer = Offer::of(node);
        let was_known = std::mem::replace(&mut info.is_known, true);
        if was_known && *info.offer == offer {
            return None;
        }
        self.is_order_old |= !was_known || info.offer.zone() != offer.zone();
        if !was_known || info.offer.labels != offer.labels {
            self.topologies.set(index, Some(&offer.labels));
        }
        let before = std::mem::replace(&mut info.offer, Arc::new(offer));
        Some(Change {
            index,
            before: was_known.then_some(before),
        })
    }

    /// True if it was known.
    pub fn remove_node(&mut self, name: &str) -> bool {
        let Some(&index) = self.by_name.get(name) else {
            return false;
        };
        self.set_images(index, &Node::default());
        self.is_order_old = true;
        let info = &mut self.nodes[index.at()];
        let was_known = std::mem::replace(&mut info.is_known, false);
        self.topologies.set(index, None);
        self.drop_if_unused(index);
        was_known
    }

    /// Counts a pod on the node that the API says it is on; true if that is news.
    pub fn set_pod(&mut self, pod: &Pod, node: &str, template: Arc<Template>) -> bool {
        let candidate = Candidate::new(pod, template);
        let started = pod.status.start_time.as_ref().map(|t| t.0.as_second());
        let index = self.by_name.get(node).copied();
        if let Some(placed) = self.pods.get_mut(&candidate.key)
            && Some(placed.node) == index
            && placed.uid == candidate.uid
            && Arc::ptr_eq(&placed.template, &candidate.template)
            && placed.is_ending == pod.is_ending()
        {
            placed.is_assumed = false;
            placed.is_preempted = pod.is_preempted();
            placed.started = started;
            return false;
        }
        let placed = Placed {
            node: self.index(node),
            uid: candidate.uid,
            template: candidate.template,
            started,
            is_ending: pod.is_ending(),
            is_preempted: pod.is_preempted(),
            is_assumed: false,
        };
        self.place(candidate.key, placed);
        true
    }

    /// Counts a pod on the node that a binding is being made to.
    pub fn assume(&mut self, candidate: &Candidate, node: NodeIndex) {
        let placed = Placed {
            node,
            uid: candidate.uid.clone(),
            template: candidate.template.clone(),
            started: None,
            is_ending: false,
            is_preempted: false,
            is_assumed: true,
        };
        self.place(candidate.key.clone(), placed);
    }

    /// Takes an assumption back; a pod that the API has put there stays.
    pub fn forget(&mut self, pod: &Candidate) -> Option<Placed> {
        let placed = self.pods.get(&pod.key);
        let is_assumed = placed.is_some_and(|p| p.is_assumed && p.uid == pod.uid);
        is_assumed.then(|| self.remove_pod(&pod.key)).flatten()
    }

    /// Frees what a pod held.
    pub fn remove_pod(&mut self, key: &str) -> Option<Placed> {
        let placed = self.pods.remove(key)?;
        self.free(key, &placed);
        Some(placed)
    }

    /// Notes that the pod is being ended for another; its uid, if it is known.
    pub fn note_preempted(&mut self, key: &str) -> Option<Box<str>> {
        let placed = self.pods.get_mut(key)?;
        placed.is_preempted = true;
        Some(placed.uid.clone())
    }

    /// The pod could not be ended.
    pub fn note_spared(&mut self, key: &str) {
        if let Some(placed) = self.pods.get_mut(key) {
            placed.is_preempted = false;
        }
    }

    /// Keys of all pods that have a node.
    pub fn pod_keys(&self) -> Vec<Arc<str>> {
        self.pods.keys().cloned().collect()
    }

    /// Brings the order of nodes up to date.
    pub fn sort_nodes(&mut self) {
        if !std::mem::take(&mut self.is_order_old) {
            return;
        }
        let mut zones: std::collections::BTreeMap<String, Vec<NodeIndex>> = Default::default();
        let mut known: Vec<&NodeInfo> = self.nodes.iter().filter(|n| n.is_known).collect();
        known.sort_by(|a, b| a.name.cmp(&b.name));
        for node in known {
            zones.entry(node.offer.zone()).or_default().push(node.index);
        }
        let longest = zones.values().map(Vec::len).max().unwrap_or(0);
        let turns = (0..longest).flat_map(|turn| zones.values().map(move |zone| zone.get(turn)));
        self.order = turns.flatten().copied().collect();
    }

    fn place(&mut self, key: Arc<str>, placed: Placed) {
        // Held before the other is freed: a node that only this pod named
        // would be forgotten in between.
        let info = &mut self.nodes[placed.node.at()];
        info.hold(key.clone(), &placed.template);
        self.classes.add(&placed);
        if let Some(before) = self.pods.insert(key.clone(), placed) {
            self.free(&key, &before);
        }
    }

    fn free(&mut self, key: &str, placed: &Placed) {
        let info = &mut self.nodes[placed.node.at()];
        info.free(key, &placed.template);
        self.classes.remove(placed);
        self.drop_if_unused(placed.node);
    }

    fn index(&mut self, name: &str) -> NodeIndex {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let name: Arc<str> = name.into();
        let index = self.unused.pop().unwrap_or_else(|| {
            self.nodes.push(NodeInfo::default());
            let last = u32::try_from(self.nodes.len() - 1);
            NodeIndex(last.expect("a cluster has fewer than 2^32 nodes"))
        });
        self.nodes[index.at()] = NodeInfo {
            name: name.clone(),
            index,
            ..NodeInfo::default()
        };
        self.by_name.insert(name, index);
        index
    }

    fn drop_if_unused(&mut self, index: NodeIndex) {
        let info = &mut self.nodes[index.at()];
        if !info.is_known && info.pods.is_empty() {
            let name = std::mem::take(info).name;
            self.by_name.remove(&name);
            self.unused.push(index);
        }
    }

    fn set_images(&mut self, index: NodeIndex, node: &Node) {
        let sizes = node::images(node);
        let info = &mut self.nodes[index.at()];
        if *info.images == sizes {
            return;
        }
        let before = std::mem::replace(&mut info.images, Arc::new(sizes));
        for name in info.images.keys() {
            *self.image_nodes.entry(name.clone()).or_default() += 1;
        }
        for name in before.keys() {
            if let Some(count) = self.image_nodes.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.image_nodes.remove(name);
                }
            }
        }
    }
}

/// A node that offers something else now.
pub struct Change {
    pub index: NodeIndex,
    /// `None`: the node is new.
    pub before: Option<Arc<Offer>>,
}

#[cfg(test)]
mod tests;
