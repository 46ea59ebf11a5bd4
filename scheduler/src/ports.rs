//! Ports that pods take on the node itself.

use crate::object::PodSpec;
use crate::object::pod_spec::Container;

/// A port taken on a node itself. An empty `ip` is every address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub ip: Box<str>,
    pub protocol: Box<str>,
    pub port: u16,
}

impl HostPort {
    pub fn conflicts_with(&self, other: &Self) -> bool {
        let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (any(&self.ip) || any(&other.ip) || self.ip == other.ip)
    }
}

/// Those of containers and of sidecars, which run beside them.
pub fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().filter(|c| c.is_sidecar());
    let ports = spec.containers.iter().chain(sidecars).flat_map(of);
    ports.collect()
}

fn of(container: &Container) -> impl Iterator<Item = HostPort> {
    container.ports.iter().filter_map(|p| {
        Some(HostPort {
            ip: p.host_ip.as_deref().unwrap_or_default().into(),
            protocol: p.protocol.as_deref().unwrap_or("TCP").into(),
            port: p.host_port.filter(|port| *port != 0)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [sig-scheduling] SchedulerPredicates [Serial] validates that there exists
    /// conflict between pods with same hostPort and protocol but one using
    /// 0.0.0.0 hostIP [Conformance]
    #[test]
    fn host_ports_conflict_on_any_address_or_the_same() {
        let port = |ip: &str| HostPort {
            ip: ip.into(),
            protocol: "TCP".into(),
            port: 80,
        };
        assert!(port("").conflicts_with(&port("10.0.0.1")));
        assert!(port("0.0.0.0").conflicts_with(&port("10.0.0.1")));
        assert!(port("10.0.0.1").conflicts_with(&port("10.0.0.1")));
        assert!(!port("10.0.0.2").conflicts_with(&port("10.0.0.1")));
    }
}
