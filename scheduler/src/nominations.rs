//! Nodes that are being cleared for a pod, which others must leave to it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::cache::Candidate;

#[derive(Default)]
pub struct Nominations {
    by_node: HashMap<Arc<str>, Vec<Candidate>>,
}

impl Nominations {
    pub fn set(&mut self, pod: &Candidate) {
        self.remove(&pod.key);
        if let Some(node) = &pod.nominated {
            let there = self.by_node.entry(node.clone()).or_default();
            there.push(pod.clone());
        }
    }

    pub fn remove(&mut self, key: &str) {
        if self.by_node.is_empty() {
            return;
        }
        self.by_node.retain(|_, pods| {
            pods.retain(|pod| *pod.key != *key);
            !pods.is_empty()
        });
    }

    /// Pods that are to come to the node and that `pod` must not displace.
    pub fn expected_at(&self, node: &str, pod: &Candidate) -> Vec<&Candidate> {
        if self.by_node.is_empty() {
            return Vec::new();
        }
        let there = self.by_node.get(node).into_iter().flatten();
        let before = there.filter(|p| p.priority() >= pod.priority() && p.key != pod.key);
        before.collect()
    }

    /// Pods that are to come to the node, but give way to `pod`.
    pub fn giving_way_at(&self, node: &str, pod: &Candidate) -> Vec<Arc<str>> {
        let there = self.by_node.get(node).into_iter().flatten();
        let lower = there.filter(|p| p.priority() < pod.priority());
        lower.map(|p| p.key.clone()).collect()
    }
}
