//! What to listen on for a Service, and where it leads: pure.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::Config;
use crate::cluster::{
    Endpoint, Index, ObjectName, Protocol, Readiness, Service, ServicePort, Slice, Target,
    TrafficPolicy,
};

/// An address that a Service is reached at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frontend {
    pub address: SocketAddrV4,
    pub protocol: Protocol,
}

impl std::fmt::Display for Frontend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.protocol.as_str(), self.address)
    }
}

/// A frontend and the endpoints behind it, never none.
#[derive(Debug, PartialEq, Eq)]
pub struct Binding {
    pub frontend: Frontend,
    pub endpoints: Vec<SocketAddrV4>,
}

/// The bindings of a Service: none for one that is gone, headless or external.
pub fn bindings(config: &Config, index: &Index, name: &ObjectName) -> Vec<Binding> {
    let Some(service) = index.service(name) else {
        return Vec::new();
    };
    let Target::ClusterIps(ips) = &service.target else {
        return Vec::new();
    };
    let slices: Vec<&Slice> = index.slices(name).collect();
    let mut bindings = Vec::new();
    for port in &service.ports {
        let select = |policy| endpoints(config, service, port, policy, &slices);
        let mut bind = |address: Ipv4Addr, number: u16, policy| {
            let address = SocketAddrV4::new(address, number);
            let frontend = Frontend {
                address,
                protocol: port.protocol,
            };
            let endpoints = select(policy);
            if !endpoints.is_empty() && !is_our_dns(config, frontend) {
                bindings.push(Binding {
                    frontend,
                    endpoints,
                });
            }
        };
        for ip in ips {
            bind(*ip, port.port, service.internal_policy);
        }
        let own = service.balanced_at.iter().find(|ip| **ip == config.node_ip);
        if let Some(own) = own {
            bind(*own, port.port, service.external_policy);
        }
        if let Some(node_port) = port.node_port {
            bind(Ipv4Addr::UNSPECIFIED, node_port, service.external_policy);
        }
    }
    bindings
}

/// The Service at the address of DNS is answered by this crate's DNS itself.
fn is_our_dns(config: &Config, frontend: Frontend) -> bool {
    SocketAddr::V4(frontend.address) == config.dns_listen
}

/// Ready endpoints; where there are none, those that end but still serve.
fn endpoints(
    config: &Config,
    service: &Service,
    port: &ServicePort,
    policy: TrafficPolicy,
    slices: &[&Slice],
) -> Vec<SocketAddrV4> {
    let mut ready = Vec::new();
    let mut ending = Vec::new();
    for slice in slices {
        let mut ports = slice.ports.iter();
        let Some(target) = ports.find(|p| p.name == port.name && p.protocol == port.protocol)
        else {
            continue;
        };
        for endpoint in slice
            .endpoints
            .iter()
            .filter(|e| is_eligible(config, policy, e))
        {
            let address = SocketAddrV4::new(endpoint.ip, target.port);
            match endpoint.readiness {
                Readiness::Ready => ready.push(address),
                _ if service.publishes_not_ready => ready.push(address),
                Readiness::ServingWhileTerminating => ending.push(address),
                Readiness::NotReady => {}
            }
        }
    }
    let mut chosen = if ready.is_empty() { ending } else { ready };
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn is_eligible(config: &Config, policy: TrafficPolicy, endpoint: &Endpoint) -> bool {
    let is_near = match policy {
        TrafficPolicy::Cluster => true,
        TrafficPolicy::Local => endpoint.node.as_deref() == Some(config.node_name.as_str()),
    };
    is_near && may_be_forwarded_to(config, endpoint.ip)
}

/// The proxy connects as the node itself, so an endpoint must not lend its
/// clients what only the node may reach (its loopback, the cloud's metadata on
/// the link), nor lead back here in a circle.
fn may_be_forwarded_to(config: &Config, ip: Ipv4Addr) -> bool {
    !(ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_broadcast()
        || config.service_cidr.contains(&ip))
}

#[cfg(test)]
mod tests;
