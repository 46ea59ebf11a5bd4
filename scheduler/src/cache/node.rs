//! One node: what it offers, and the sum of what is on it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Taint;
use objects::node_selector;

use super::NodeIndex;
use crate::object::Node;
use crate::ports::HostPort;
use crate::requests::Amounts;
use crate::template::Template;

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";

/// One node and the sum of what is on it.
#[derive(Debug, Clone, Default)]
pub struct NodeInfo {
    pub name: Arc<str>,
    pub index: NodeIndex,
    pub offer: Arc<Offer>,
    /// Sizes by name.
    pub images: Arc<HashMap<Arc<str>, i64>>,
    pub requested: Amounts,
    pub scored_milli_cpu: i64,
    pub scored_memory: i64,
    pub ports: Vec<HostPort>,
    /// Keys of the pods on it.
    pub pods: Vec<Arc<str>>,
    /// The API has this node; without it only pods that name it are known.
    pub(super) is_known: bool,
}

/// What a node's own object says it takes.
#[derive(Debug, Default, PartialEq)]
pub struct Offer {
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub is_unschedulable: bool,
    pub allocatable: Amounts,
    pub allowed_pods: usize,
}

impl Default for NodeIndex {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl NodeInfo {
    pub fn label(&self, key: &str) -> Option<&str> {
        self.offer.labels.get(key).map(String::as_str)
    }

    /// As selectors see it.
    pub fn facts(&self) -> node_selector::Node<'_> {
        node_selector::Node {
            name: &self.name,
            labels: &self.offer.labels,
        }
    }

    /// Counts a pod here.
    pub fn hold(&mut self, key: Arc<str>, template: &Template) {
        let requests = &template.requests;
        self.requested.add(&requests.amounts);
        self.scored_milli_cpu += requests.scored_milli_cpu;
        self.scored_memory += requests.scored_memory;
        self.ports.extend(template.ports.iter().cloned());
        self.pods.push(key);
    }

    /// Counts a pod here no more.
    pub fn free(&mut self, key: &str, template: &Template) {
        let requests = &template.requests;
        self.requested.subtract(&requests.amounts);
        self.scored_milli_cpu -= requests.scored_milli_cpu;
        self.scored_memory -= requests.scored_memory;
        for port in &template.ports {
            if let Some(at) = self.ports.iter().position(|p| p == port) {
                self.ports.swap_remove(at);
            }
        }
        if let Some(at) = self.pods.iter().position(|p| **p == *key) {
            self.pods.swap_remove(at);
        }
    }
}

impl Offer {
    pub fn of(node: &Node) -> Self {
        let pods = node.status.allocatable.get("pods");
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: node.spec.taints.clone(),
            is_unschedulable: node.spec.unschedulable.unwrap_or_default(),
            allocatable: Amounts::from_list(&node.status.allocatable),
            allowed_pods: pods.and_then(|text| text.parse().ok()).unwrap_or(0),
        }
    }

    /// Region and zone in one.
    pub fn zone(&self) -> String {
        let label = |key| self.labels.get(key).map_or("", String::as_str);
        format!("{}/{}", label(REGION), label(ZONE))
    }
}

pub(super) fn images(node: &Node) -> HashMap<Arc<str>, i64> {
    let images = node.status.images.iter();
    let sizes = images.flat_map(|image| {
        let names = image.names.iter();
        names.map(|name| (name.as_str().into(), image.size_bytes.unwrap_or(0)))
    });
    sizes.collect()
}
