//! `web.default.svc` and what is below it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::name::dashed;
use super::{Answer, TTL, Zone, address, existing};
use crate::cluster::{Endpoint, Index, ObjectName, Protocol, Readiness, Service, Slice, Target};

/// A Service that was asked for.
struct Asked<'a> {
    index: &'a Index,
    name: ObjectName,
    service: Arc<Service>,
}

/// A named port, or all.
#[derive(Clone, Copy)]
enum Port<'a> {
    All,
    Named(&'a str, Protocol),
}

impl Port<'_> {
    fn is(&self, name: &str, protocol: Protocol) -> bool {
        match self {
            Self::All => true,
            Self::Named(wanted, of) => *wanted == name && *of == protocol,
        }
    }
}

impl Zone {
    /// `of` is what stands before the Service's own name.
    pub(super) fn service(
        &self,
        index: &Index,
        namespace: &str,
        service: &str,
        of: &[String],
        name: &Name,
        kind: RecordType,
    ) -> Answer {
        let asked = ObjectName::new(namespace, service);
        let Some(service) = index.service(&asked).cloned() else {
            return Answer::NoSuchName;
        };
        let asked = Asked {
            index,
            name: asked,
            service,
        };
        match of {
            [] => self.whole_service(&asked, name, kind),
            [protocol] if let Some(protocol) = protocol_label(protocol) => existing(
                asked
                    .service
                    .ports
                    .iter()
                    .any(|port| port.protocol == protocol),
            ),
            [host] => asked.host(host, name, kind),
            [port, protocol] => match (port.strip_prefix('_'), protocol_label(protocol)) {
                (Some(port), Some(protocol)) => {
                    self.port(&asked, Port::Named(port, protocol), name, kind)
                }
                _ => Answer::NoSuchName,
            },
            _ => Answer::NoSuchName,
        }
    }

    fn whole_service(&self, asked: &Asked<'_>, name: &Name, kind: RecordType) -> Answer {
        if let Target::ExternalName(target) = &asked.service.target {
            let target = Name::from_ascii(target)
                .ok()
                .filter(|target| !target.is_root());
            return target.map_or(Answer::NoData, |mut target| {
                target.set_fqdn(true);
                Answer::Alias(target)
            });
        }
        match kind {
            RecordType::A => {
                let ips = asked.ips().into_iter();
                Answer::records(ips.map(|ip| address(name, ip)).collect())
            }
            RecordType::SRV => self.port(asked, Port::All, name, kind),
            _ => Answer::NoData,
        }
    }

    /// `_http._tcp.web.default.svc`: port and host of each endpoint of a
    /// headless Service, of any other its own name.
    fn port(&self, asked: &Asked<'_>, port: Port<'_>, name: &Name, kind: RecordType) -> Answer {
        let found = match &asked.service.target {
            Target::ClusterIps(ips) => self.service_ports(asked, port, ips),
            Target::Headless => self.endpoint_ports(asked, port),
            Target::ExternalName(_) => Vec::new(),
        };
        if found.is_empty() {
            let ports = &asked.service.ports;
            return existing(
                ports
                    .iter()
                    .any(|known| port.is(&known.name, known.protocol)),
            );
        }
        if kind != RecordType::SRV {
            return Answer::NoData;
        }
        let weight = u16::try_from(100 / found.len()).unwrap_or(1).max(1);
        let mut answers = Vec::new();
        let mut additionals: Vec<Record> = Vec::new();
        for (number, target, ip) in found {
            let host = address(&target, ip);
            let srv = RData::SRV(SRV::new(0, weight, number, target));
            answers.push(Record::from_rdata(name.clone(), TTL, srv));
            if !additionals.contains(&host) {
                additionals.push(host);
            }
        }
        Answer::Records {
            answers,
            additionals,
        }
    }

    fn service_ports(
        &self,
        asked: &Asked<'_>,
        port: Port<'_>,
        ips: &[Ipv4Addr],
    ) -> Vec<(u16, Name, Ipv4Addr)> {
        let (Some(target), Some(ip)) = (self.name_of(&asked.name, &[]), ips.first()) else {
            return Vec::new();
        };
        let ports = asked
            .service
            .ports
            .iter()
            .filter(|p| port.is(&p.name, p.protocol));
        ports.map(|port| (port.port, target.clone(), *ip)).collect()
    }

    fn endpoint_ports(&self, asked: &Asked<'_>, port: Port<'_>) -> Vec<(u16, Name, Ipv4Addr)> {
        let mut found = Vec::new();
        for (slice, endpoint) in asked.endpoints() {
            for known in slice.ports.iter().filter(|p| port.is(&p.name, p.protocol)) {
                if let Some(target) = self.name_of(&asked.name, &[&host_label(endpoint)]) {
                    found.push((known.port, target, endpoint.ip));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The full name of a Service, or of something below it; `None` where it
    /// would be longer than DNS allows.
    pub(super) fn name_of(&self, service: &ObjectName, below: &[&str]) -> Option<Name> {
        let own = [&*service.name, &*service.namespace, "svc"];
        let labels = below.iter().chain(&own).map(|label| label.as_bytes());
        Name::from_labels(labels)
            .ok()?
            .append_domain(&self.domain)
            .ok()
    }
}

impl Asked<'_> {
    fn ips(&self) -> Vec<Ipv4Addr> {
        match &self.service.target {
            Target::ClusterIps(ips) => ips.clone(),
            Target::Headless => distinct(self.endpoints().map(|(_, endpoint)| endpoint.ip)),
            Target::ExternalName(_) => Vec::new(),
        }
    }

    /// Those that DNS may name: ready, or all where the Service says so.
    fn endpoints(&self) -> impl Iterator<Item = (&Slice, &Endpoint)> {
        let every = self.service.publishes_not_ready;
        let all = self.index.slices(&self.name).flat_map(|slice| {
            slice
                .endpoints
                .iter()
                .map(move |endpoint| (slice, endpoint))
        });
        all.filter(move |(_, endpoint)| every || endpoint.readiness == Readiness::Ready)
    }

    /// `web-0.web.default.svc`: the endpoint of that name.
    fn host(&self, label: &str, name: &Name, kind: RecordType) -> Answer {
        let at_host = self
            .endpoints()
            .filter(|(_, endpoint)| host_label(endpoint) == label);
        let ips = distinct(at_host.map(|(_, endpoint)| endpoint.ip));
        if ips.is_empty() {
            return Answer::NoSuchName;
        }
        match kind {
            RecordType::A => Answer::records(ips.into_iter().map(|ip| address(name, ip)).collect()),
            _ => Answer::NoData,
        }
    }
}

/// The name of an endpoint below its Service: the pod's, or its address.
pub fn host_label(endpoint: &Endpoint) -> String {
    match &endpoint.hostname {
        Some(hostname) => hostname.to_ascii_lowercase(),
        None => dashed(endpoint.ip),
    }
}

fn protocol_label(label: &str) -> Option<Protocol> {
    match label {
        "_tcp" => Some(Protocol::Tcp),
        "_udp" => Some(Protocol::Udp),
        _ => None,
    }
}

fn distinct(ips: impl Iterator<Item = Ipv4Addr>) -> Vec<Ipv4Addr> {
    let mut ips: Vec<Ipv4Addr> = ips.collect();
    ips.sort_unstable();
    ips.dedup();
    ips
}
