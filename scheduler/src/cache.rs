//! What the scheduler believes about nodes and the pods on them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Taint;

use crate::object::{Node, Pod, PodSpec};
use crate::requests::{Amounts, Requests};

/// A pod that waits for a node, or was just assumed to have one.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub key: Arc<str>,
    pub uid: String,
    pub spec: Arc<PodSpec>,
    pub requests: Requests,
    pub ports: Vec<HostPort>,
}

/// A port taken on a node itself. An empty `ip` is every address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub ip: String,
    pub protocol: String,
    pub port: u16,
}

/// One node and the sum of what is on it.
#[derive(Debug, Default)]
pub struct NodeInfo {
    pub name: String,
    pub offer: Offer,
    pub images: HashMap<String, i64>,
    pub requested: Amounts,
    pub scored_milli_cpu: i64,
    pub scored_memory: i64,
    pub ports: Vec<HostPort>,
    pub pods: usize,
    /// The API has this node; without it only pods that name it are known.
    is_known: bool,
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

struct Placed {
    node: String,
    uid: String,
    requests: Requests,
    ports: Vec<HostPort>,
    /// Our binding is on its way; the API does not show it yet.
    is_assumed: bool,
}

/// All nodes, and all pods that have one.
#[derive(Default)]
pub struct Cache {
    nodes: BTreeMap<String, NodeInfo>,
    pods: HashMap<Arc<str>, Placed>,
}

impl Candidate {
    pub fn new(pod: &Pod) -> Self {
        Self {
            key: pod.key(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            spec: Arc::new(pod.spec.clone()),
            requests: Requests::of(&pod.spec),
            ports: host_ports(&pod.spec),
        }
    }
}

impl HostPort {
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (any(&self.ip) || any(&other.ip) || self.ip == other.ip)
    }
}

impl Cache {
    /// The nodes a pod may go to, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values().filter(|n| n.is_known)
    }

    pub fn node_names(&self) -> Vec<String> {
        self.nodes().map(|n| n.name.clone()).collect()
    }

    /// Takes over what the API says of a node; true if a pod that did not fit
    /// might now.
    pub fn set_node(&mut self, node: &Node) -> bool {
        let name = node.metadata.name.clone().unwrap_or_default();
        let info = self.nodes.entry(name.clone()).or_default();
        info.name = name;
        info.images = images(node);
        let was_known = std::mem::replace(&mut info.is_known, true);
        let offer = Offer {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            taints: node.spec.taints.clone(),
            is_unschedulable: node.spec.unschedulable.unwrap_or_default(),
            allocatable: Amounts::from_list(&node.status.allocatable),
            allowed_pods: allowed_pods(node),
        };
        let is_changed = info.offer != offer;
        info.offer = offer;
        is_changed || !was_known
    }

    pub fn remove_node(&mut self, name: &str) {
        let Some(info) = self.nodes.get_mut(name) else {
            return;
        };
        if info.pods == 0 {
            self.nodes.remove(name);
        } else {
            info.is_known = false;
        }
    }

    /// Counts a pod on the node that the API says it is on.
    pub fn set_pod(&mut self, pod: &Pod, node: &str) {
        let candidate = Candidate::new(pod);
        if self
            .pods
            .get(&candidate.key)
            .is_some_and(|p| p.node == node && p.uid == candidate.uid)
        {
            if let Some(placed) = self.pods.get_mut(&candidate.key) {
                placed.is_assumed = false;
            }
            return;
        }
        self.place(&candidate, node, false);
    }

    /// Counts a pod on the node that a binding is being made to.
    pub fn assume(&mut self, candidate: &Candidate, node: &str) {
        self.place(candidate, node, true);
    }

    /// Takes an assumption back; a pod that the API has put there stays.
    pub fn forget(&mut self, key: &str) {
        if self.pods.get(key).is_some_and(|p| p.is_assumed) {
            self.remove_pod(key);
        }
    }

    /// Frees what a pod held; true if it held anything.
    pub fn remove_pod(&mut self, key: &str) -> bool {
        let Some(placed) = self.pods.remove(key) else {
            return false;
        };
        if let Some(info) = self.nodes.get_mut(&placed.node) {
            info.requested.subtract(&placed.requests.amounts);
            info.scored_milli_cpu -= placed.requests.scored_milli_cpu;
            info.scored_memory -= placed.requests.scored_memory;
            info.pods -= 1;
            for port in &placed.ports {
                if let Some(at) = info.ports.iter().position(|p| p == port) {
                    info.ports.swap_remove(at);
                }
            }
            if info.pods == 0 && !info.is_known {
                self.nodes.remove(&placed.node);
            }
        }
        true
    }

    /// Keys of all pods that have a node by the API's word.
    pub fn confirmed_pods(&self) -> Vec<Arc<str>> {
        let confirmed = self.pods.iter().filter(|(_, p)| !p.is_assumed);
        confirmed.map(|(key, _)| key.clone()).collect()
    }

    fn place(&mut self, candidate: &Candidate, node: &str, is_assumed: bool) {
        self.remove_pod(&candidate.key);
        let info = self.nodes.entry(node.to_owned()).or_default();
        info.name = node.to_owned();
        info.requested.add(&candidate.requests.amounts);
        info.scored_milli_cpu += candidate.requests.scored_milli_cpu;
        info.scored_memory += candidate.requests.scored_memory;
        info.pods += 1;
        info.ports.extend(candidate.ports.iter().cloned());
        let placed = Placed {
            node: node.to_owned(),
            uid: candidate.uid.clone(),
            requests: candidate.requests.clone(),
            ports: candidate.ports.clone(),
            is_assumed,
        };
        self.pods.insert(candidate.key.clone(), placed);
    }
}

fn allowed_pods(node: &Node) -> usize {
    let pods = node.status.allocatable.get("pods");
    pods.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn images(node: &Node) -> HashMap<String, i64> {
    let mut sizes = HashMap::new();
    for image in &node.status.images {
        for name in &image.names {
            sizes.insert(name.clone(), image.size_bytes.unwrap_or(0));
        }
    }
    sizes
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let ports = spec.containers.iter().flat_map(|c| &c.ports);
    ports
        .filter_map(|p| {
            let port = p.host_port.filter(|port| *port != 0)?;
            Some(HostPort {
                ip: p.host_ip.clone().unwrap_or_default(),
                protocol: p.protocol.clone().unwrap_or_else(|| "TCP".into()),
                port,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
