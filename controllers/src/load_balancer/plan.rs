//! Which addresses a Service gets, or why none.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::cluster::Cluster;
use crate::key::Key;
use crate::object::{Node, Service};

/// A node that is to be left out.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const SERVICE_NAME: &str = super::SERVICE_NAME;
/// Nobody tries more addresses than this; a status must not grow with the cluster.
const MOST: usize = 32;

/// The address that a node offers.
pub fn address_of(node: &Node) -> Option<String> {
    let is_offered = node.is_ready()
        && node.metadata.deletion_timestamp.is_none()
        && node.label(EXCLUDED).is_none();
    let of_type = |wanted: &str| {
        let mut addresses = node.status.addresses.iter();
        addresses.find(|a| a.type_ == wanted && a.address.parse::<Ipv4Addr>().is_ok())
    };
    // The proxy listens at the address that the node is known by in the cluster.
    let address = of_type("InternalIP").filter(|_| is_offered)?;
    Some(address.address.clone())
}

pub fn addresses(cluster: &Cluster, service: &Service) -> Vec<String> {
    let near = service
        .stays_local()
        .then(|| nodes_with_pods(cluster, service));
    let nodes = cluster.nodes.all();
    let offered = nodes.iter().filter(|node| {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        near.as_ref().is_none_or(|near| near.contains(name))
    });
    let mut addresses: Vec<String> = offered.filter_map(|node| address_of(node)).collect();
    addresses.sort_by_key(|address| address.parse::<Ipv4Addr>().ok());
    addresses.dedup();
    addresses.truncate(MOST);
    addresses
}

/// The nodes on which a pod of the Service is ready.
fn nodes_with_pods(cluster: &Cluster, service: &Service) -> BTreeSet<String> {
    let of = Key::of(service);
    let slices = cluster.endpoint_slices.in_namespace(&of.namespace);
    let slices = slices.iter().filter(|slice| {
        let labels = slice.metadata.labels.as_ref();
        labels.and_then(|l| l.get(SERVICE_NAME)).map(String::as_str) == Some(&*of.name)
    });
    let endpoints = slices.flat_map(|slice| slice.endpoints.iter().flatten());
    let ready = endpoints.filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.and_then(|c| c.ready).unwrap_or(true)
    });
    ready
        .filter_map(|endpoint| endpoint.node_name.clone())
        .collect()
}

/// Why no node can be asked for this.
pub fn refusal(cluster: &Cluster, service: &Service) -> Option<String> {
    if !service.spec.load_balancer_source_ranges.is_empty() {
        return Some(
            "loadBalancerSourceRanges are not supported: every client could connect".into(),
        );
    }
    let own = own_ports(cluster);
    for wanted in ports(service) {
        let (protocol, port) = &wanted;
        if protocol == "TCP" && own.contains(port) {
            return Some(format!("port {port} is the cluster's own on every node"));
        }
        if let Some(other) = holder(cluster, service, &wanted) {
            return Some(format!("port {port}/{protocol} is that of Service {other}"));
        }
    }
    None
}

fn ports(service: &Service) -> impl Iterator<Item = (String, i32)> {
    let ports = service.spec.ports.iter();
    ports.map(|port| {
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
        (protocol, port.port)
    })
}

/// The Service that has the port: of all that want it, the oldest.
fn holder(cluster: &Cluster, service: &Service, wanted: &(String, i32)) -> Option<Key> {
    let age = |service: &Service| {
        let meta = &service.metadata;
        (
            meta.creation_timestamp.as_ref().map(|at| at.0),
            meta.uid.clone(),
        )
    };
    let all = cluster.services.all();
    let mut older = all.iter().filter(|other| {
        other.is_balanced() && age(other) < age(service) && ports(other).any(|p| p == *wanted)
    });
    older.next().map(|other| Key::of(&**other))
}

/// Those of the API server and of kubelets: a proxy that was faster to take one at
/// a restart would keep the node from starting.
fn own_ports(cluster: &Cluster) -> BTreeSet<i32> {
    let nodes = cluster.nodes.all();
    let kubelets = nodes.iter().filter_map(|node| {
        let endpoints = node.status.daemon_endpoints.as_ref()?;
        Some(endpoints.kubelet_endpoint.as_ref()?.port)
    });
    let server = cluster.endpoints.get(&Key::new("default", "kubernetes"));
    let subsets = server.iter().flat_map(|e| e.subsets.iter().flatten());
    let server = subsets.flat_map(|subset| subset.ports.iter().flatten());
    kubelets.chain(server.map(|port| port.port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn node(ready: &str, labels: Value) -> Node {
        let status = json!({ "conditions": [{ "type": "Ready", "status": ready }],
            "addresses": [{ "type": "Hostname", "address": "n" }, { "type": "InternalIP", "address": "fd00::1" },
                { "type": "InternalIP", "address": "10.0.0.1" }] });
        let node = json!({ "metadata": { "name": "n", "labels": labels }, "status": status });
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn only_nodes_that_can_answer_offer_their_address() {
        assert_eq!(address_of(&node("True", json!({}))).unwrap(), "10.0.0.1");
        assert_eq!(address_of(&node("Unknown", json!({}))), None);
        assert_eq!(address_of(&node("True", json!({ EXCLUDED: "" }))), None);
    }
}
