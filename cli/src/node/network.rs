//! Opens the pod network once the node has its range of addresses, and keeps
//! the routes to the other nodes' ranges.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use netproxy::{NetworkConfig, PodNetwork};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub struct Config {
    pub node_name: String,
    pub bridge: String,
    pub cluster_cidr: Ipv4Net,
    pub node_ip: Ipv4Addr,
    pub state_dir: PathBuf,
}

/// A node's pods and the address they are reached through.
type Route = (Ipv4Net, Ipv4Addr);

/// Follows the Nodes until `shutdown`.
pub async fn keep(
    config: Config,
    client: Client,
    opened: watch::Sender<Option<Arc<PodNetwork>>>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut events = watcher(Api::<Node>::all(client), watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut peers = Peers::default();
    while let Some(Some(event)) = shutdown.run_until_cancelled(events.next()).await {
        let Ok(event) = event else { continue };
        let node = peers.take(event);
        let is_open = opened.borrow().is_some();
        if let Some(node) = node
            && !is_open
            && node.metadata.name.as_deref() == Some(&config.node_name)
            && let Some(pod_cidr) = pod_cidr(&node)
        {
            let network = PodNetwork::open(config.network(pod_cidr)).await?;
            opened.send_replace(Some(Arc::new(network)));
            peers.is_news = true;
        }
        let network = opened.borrow().clone();
        if let Some(network) = network
            && peers.is_known
            && std::mem::take(&mut peers.is_news)
        {
            set_routes(&network, peers.routes(&config.node_name)).await;
        }
    }
    Ok(())
}

impl Config {
    fn network(&self, pod_cidr: Ipv4Net) -> NetworkConfig {
        NetworkConfig {
            bridge: self.bridge.clone(),
            pod_cidr,
            cluster_cidr: self.cluster_cidr,
            node_ip: self.node_ip,
            mtu: None,
            state_dir: self.state_dir.clone(),
        }
    }
}

async fn set_routes(network: &PodNetwork, routes: Vec<Route>) {
    if let Err(error) = network.set_routes(routes).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "routes to other nodes' pods are not complete");
    }
}

/// The nodes and their ranges, as the watch has told of them.
#[derive(Default)]
struct Peers {
    routes: BTreeMap<String, Route>,
    /// All nodes have been listed once; before that, a missing one means nothing.
    is_known: bool,
    is_news: bool,
}

impl Peers {
    /// Takes the event over; returns the node it shows, if it shows one.
    fn take(&mut self, event: Event<Node>) -> Option<Node> {
        match event {
            Event::Init => {
                self.routes.clear();
                self.is_known = false;
                None
            }
            Event::InitDone => {
                self.is_known = true;
                self.is_news = true;
                None
            }
            Event::InitApply(node) | Event::Apply(node) => {
                let name = node.metadata.name.clone().unwrap_or_default();
                if let Some(route) = route(&node)
                    && self.routes.get(&name) != Some(&route)
                {
                    self.routes.insert(name, route);
                    self.is_news = true;
                }
                Some(node)
            }
            Event::Delete(node) => {
                let name = node.metadata.name.unwrap_or_default();
                self.is_news |= self.routes.remove(&name).is_some();
                None
            }
        }
    }

    fn routes(&self, own: &str) -> Vec<Route> {
        let others = self.routes.iter().filter(|(name, _)| *name != own);
        others.map(|(_, route)| *route).collect()
    }
}

fn pod_cidr(node: &Node) -> Option<Ipv4Net> {
    node.spec.as_ref()?.pod_cidr.as_ref()?.parse().ok()
}

fn route(node: &Node) -> Option<Route> {
    let addresses = node.status.as_ref()?.addresses.as_deref()?;
    let internal = addresses.iter().find(|a| a.type_ == "InternalIP")?;
    Some((pod_cidr(node)?, internal.address.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, cidr: &str, ip: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "podCIDR": cidr },
            "status": { "addresses": [{ "type": "InternalIP", "address": ip }] },
        }))
        .unwrap()
    }

    #[test]
    fn routes_lead_to_all_nodes_but_our_own() {
        let mut peers = Peers::default();
        peers.take(Event::InitApply(node("a", "10.244.0.0/24", "192.0.2.1")));
        peers.take(Event::InitApply(node("b", "10.244.1.0/24", "192.0.2.2")));
        let expected = (
            "10.244.1.0/24".parse().unwrap(),
            "192.0.2.2".parse().unwrap(),
        );
        assert_eq!(peers.routes("a"), [expected]);
    }

    #[test]
    fn heartbeat_of_a_node_is_no_news() {
        let mut peers = Peers::default();
        peers.take(Event::Apply(node("a", "10.244.0.0/24", "192.0.2.1")));
        assert!(std::mem::take(&mut peers.is_news));
        peers.take(Event::Apply(node("a", "10.244.0.0/24", "192.0.2.1")));
        assert!(!peers.is_news);
        peers.take(Event::Delete(node("a", "10.244.0.0/24", "192.0.2.1")));
        assert!(peers.is_news);
    }
}
