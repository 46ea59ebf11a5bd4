//! Requests that the API server hands on: to kubelets (logs, exec), to pods and
//! Services. What is upgraded (WebSocket, SPDY) is tunnelled byte for byte. Where
//! the node has opened a tunnel to this server, they go through that.

mod onward;
pub mod pod;
pub mod relay;
pub mod tunnels;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use apimachinery::{Status, meta, status};
use http::{Request, Response};
use serde_json::Value;

use crate::api::Api;
use crate::body::{Body, RequestBody};
use crate::keys;
use crate::registry::{Registry, store_failure, versions};
pub use onward::{Destination, Kubelets};

const KUBELET_PORT: u16 = 10250;

/// `/proxy` of a pod, Service or node. The name may carry a scheme and a port:
/// `https:name:443`.
pub async fn forward(
    api: &Arc<Api>,
    registry: &Registry<'_>,
    name: &str,
    rest: Option<&str>,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Status> {
    let (scheme, name, port) = split_name(name);
    let destination = match registry.kind.plural() {
        "pods" => to_pod(registry, name, port, scheme).await?,
        "services" => to_service(registry, name, port, scheme).await?,
        _ => to_node(api, name, port, scheme).await?,
    };
    let path = format!("/{}", rest.unwrap_or(""));
    api.kubelets.send(&destination, &path, request).await
}

fn split_name(name: &str) -> (&str, &str, &str) {
    match name.split(':').collect::<Vec<_>>().as_slice() {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => ("", name, ""),
    }
}

async fn to_pod(
    registry: &Registry<'_>,
    name: &str,
    port: &str,
    scheme: &str,
) -> Result<Destination, Status> {
    let pod = versions::value(registry.kind, &registry.entry(name).await?.value)?;
    let address = meta::text(&pod, "status.podIP");
    let port = if port.is_empty() {
        first_container_port(&pod).unwrap_or(80)
    } else {
        parse_port(port)?
    };
    let node = meta::text(&pod, "spec.nodeName");
    Ok(allowed(address, port, scheme)?.by_way_of(node))
}

fn first_container_port(pod: &Value) -> Option<u16> {
    let mut containers = meta::items(pod, "spec.containers").iter();
    let port = containers.find_map(|c| meta::items(c, "ports").first())?;
    u16::try_from(port["containerPort"].as_u64()?).ok()
}

fn parse_port(port: &str) -> Result<u16, Status> {
    port.parse()
        .map_err(|_| Status::bad_request(format!("invalid port {port:?}")))
}

/// Loopback and link-local are this machine's own, not the cluster's.
fn is_proxyable(ip: IpAddr) -> bool {
    let local = match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let ip = ip.to_canonical();
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || local)
}

/// What the host's name stands for. None where that is not known here: only the
/// node's tunnel leads there then, and a node lets none to its loopback through it.
async fn resolved(to: &Destination) -> impl Iterator<Item = IpAddr> + use<> {
    let found = tokio::net::lookup_host((to.host.clone(), to.port)).await;
    let found: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
    found.into_iter().map(|address| address.ip())
}

/// Where a pod or an endpoint is, if it may be proxied to.
fn allowed(address: &str, port: u16, scheme: &str) -> Result<Destination, Status> {
    let ip: IpAddr = address
        .parse()
        .map_err(|_| Status::bad_request("address not allowed"))?;
    if !is_proxyable(ip) {
        return Err(Status::bad_request("address not allowed"));
    }
    Ok(Destination {
        host: ip.to_string(),
        port,
        tls: scheme == "https",
        is_kubelet: false,
        node: None,
    })
}

async fn to_service(
    registry: &Registry<'_>,
    name: &str,
    port: &str,
    scheme: &str,
) -> Result<Destination, Status> {
    let service = versions::value(registry.kind, &registry.entry(name).await?.value)?;
    let unavailable =
        || Status::service_unavailable(format!("no endpoints available for service {name:?}"));
    let key = keys::object("endpoints", registry.namespace, name);
    let entry = registry
        .api
        .store
        .get(&key)
        .await
        .map_err(store_failure)?
        .ok_or_else(unavailable)?;
    let endpoints: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
    let wanted = wanted_port(&service, port).ok_or_else(unavailable)?;
    for subset in meta::items(&endpoints, "subsets") {
        let ports = meta::items(subset, "ports");
        let found = ports
            .iter()
            .find(|p| p["name"].as_str().unwrap_or("") == wanted);
        let address = meta::items(subset, "addresses").first();
        if let (Some(port), Some(address)) = (found, address) {
            let port = port["port"]
                .as_u64()
                .and_then(|p| u16::try_from(p).ok())
                .ok_or_else(unavailable)?;
            let found = allowed(meta::text(address, "ip"), port, scheme)?;
            return Ok(found.by_way_of(meta::text(address, "nodeName")));
        }
    }
    Err(unavailable())
}

/// The name of the Service's port that is meant: the only one, by number or by name.
fn wanted_port<'a>(service: &'a Value, port: &str) -> Option<&'a str> {
    let ports = meta::items(service, "spec.ports");
    let found = match port {
        "" if ports.len() == 1 => ports.first(),
        "" => ports
            .iter()
            .find(|p| p["name"].as_str().unwrap_or("").is_empty()),
        port => ports
            .iter()
            .find(|p| p["name"] == port || p["port"].as_u64() == port.parse().ok()),
    };
    found.map(|p| p["name"].as_str().unwrap_or(""))
}

async fn to_node(api: &Api, name: &str, port: &str, scheme: &str) -> Result<Destination, Status> {
    let kubelet = kubelet_of(api, name).await?;
    // As Kubernetes since CVE-2022-3294, and for the kubelet's own port too.
    if resolved(&kubelet).await.any(|ip| !is_proxyable(ip)) {
        return Err(Status::bad_request("address not allowed"));
    }
    if port.is_empty() || parse_port(port)? == kubelet.port {
        return Ok(kubelet);
    }
    allowed(&kubelet.host, parse_port(port)?, scheme)
}

/// Where a node's kubelet listens.
pub async fn kubelet_of(api: &Api, name: &str) -> Result<Destination, Status> {
    let key = keys::object("nodes", None, name);
    let found = api.store.get(&key).await.map_err(store_failure)?;
    let entry = found.ok_or_else(|| Status::not_found(status::Resource::new("", "nodes"), name))?;
    let node: Value = serde_json::from_slice(&entry.value).map_err(Status::internal)?;
    let addresses = meta::items(&node, "status.addresses");
    let of_type = |wanted: &str| {
        let mut of_type = addresses.iter().filter(|a| a["type"] == wanted);
        of_type.find_map(|a| a["address"].as_str())
    };
    let preferred = ["InternalIP", "ExternalIP", "InternalDNS", "Hostname"];
    let host = preferred
        .iter()
        .find_map(|kind| of_type(kind))
        .ok_or_else(|| {
            Status::service_unavailable(format!("node {:?} has no address yet", meta::name(&node)))
        })?;
    let port = node
        .pointer("/status/daemonEndpoints/kubeletEndpoint/Port")
        .and_then(Value::as_u64);
    let port = port
        .and_then(|p| u16::try_from(p).ok())
        .filter(|p| *p != 0)
        .unwrap_or(KUBELET_PORT);
    Ok(Destination {
        host: host.to_owned(),
        port,
        tls: true,
        is_kubelet: true,
        node: Some(name.to_owned()),
    })
}
