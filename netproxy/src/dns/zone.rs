//! The cluster's own names: what each answers, from the index alone.
//!
//! The schema is the Kubernetes DNS specification, version 1.1.0.

mod name;
mod service;

use std::net::Ipv4Addr;

use hickory_proto::rr::rdata::{A, PTR, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::cluster::Index;
use crate::{Error, Result};
use name::Labels;

/// Short, as answers come from memory and follow the cluster at once.
pub const TTL: u32 = 5;

const SCHEMA_VERSION: &str = "1.1.0";

/// What the zone has to say about a question.
#[derive(Debug)]
pub enum Answer {
    Records {
        answers: Vec<Record>,
        additionals: Vec<Record>,
    },
    /// The name is another one's; that has the records.
    Alias(Name),
    /// The name exists, and has no record of that type.
    NoData,
    NoSuchName,
    /// Not a name of the cluster.
    NotOurs,
}

impl Answer {
    fn records(answers: Vec<Record>) -> Self {
        if answers.is_empty() {
            return Self::NoData;
        }
        Self::Records {
            answers,
            additionals: Vec::new(),
        }
    }
}

/// The names below one domain, and the reverse names of what has one.
#[derive(Debug)]
pub struct Zone {
    domain: Name,
    labels: Labels,
}

impl Zone {
    pub fn new(domain: &str) -> Result<Self> {
        let invalid = || Error::Domain {
            domain: domain.to_owned(),
        };
        let mut name = Name::from_ascii(domain).map_err(|_| invalid())?;
        name.set_fqdn(true);
        if name.is_root() {
            return Err(invalid());
        }
        let labels = Labels::of(&name);
        Ok(Self {
            domain: name,
            labels,
        })
    }

    /// Answers a question of class IN.
    pub fn answer(&self, index: &Index, name: &Name, kind: RecordType) -> Answer {
        let labels = Labels::of(name);
        if let Some(ip) = labels.reversed_ip() {
            return self.reverse(index, ip, name, kind);
        }
        let Some(below) = labels.below(&self.labels) else {
            return Answer::NotOurs;
        };
        match below.as_slice() {
            [] => self.apex(name, kind),
            [version] if version == "dns-version" => version_record(name, kind),
            [branch] if branch == "svc" || branch == "pod" => Answer::NoData,
            [namespace, branch] if branch == "svc" || branch == "pod" => {
                existing(index.has_namespace(namespace))
            }
            [dashed, namespace, branch] if branch == "pod" => {
                pod(index, dashed, namespace, name, kind)
            }
            [of @ .., service, namespace, branch] if branch == "svc" => {
                self.service(index, namespace, service, of, name, kind)
            }
            _ => Answer::NoSuchName,
        }
    }

    /// Start of authority: what a negative answer is remembered by.
    pub fn soa(&self) -> Record {
        let below = |label: &str| {
            let name = Name::from_ascii(label).and_then(|name| name.append_domain(&self.domain));
            name.unwrap_or_else(|_| self.domain.clone())
        };
        // The zone has no versions that could be transferred: its serial rests.
        let soa = SOA::new(
            below("ns.dns"),
            below("hostmaster"),
            1,
            7200,
            1800,
            86_400,
            TTL,
        );
        Record::from_rdata(self.domain.clone(), TTL, RData::SOA(soa))
    }

    fn apex(&self, name: &Name, kind: RecordType) -> Answer {
        match kind {
            RecordType::SOA => {
                let mut soa = self.soa();
                soa.name = name.clone();
                Answer::records(vec![soa])
            }
            _ => Answer::NoData,
        }
    }

    /// The name of a Service by its address, of a headless one's endpoint by
    /// the pod's.
    fn reverse(&self, index: &Index, ip: Ipv4Addr, name: &Name, kind: RecordType) -> Answer {
        let service = index
            .service_at(ip)
            .and_then(|service| self.name_of(service, &[]));
        let endpoints = index
            .headless_endpoints_at(ip)
            .filter_map(|(service, endpoint)| {
                self.name_of(&service, &[&service::host_label(endpoint)])
            });
        let names: Vec<Name> = service.into_iter().chain(endpoints).collect();
        if names.is_empty() {
            return Answer::NotOurs;
        }
        if kind != RecordType::PTR {
            return Answer::NoData;
        }
        let record = |target| Record::from_rdata(name.clone(), TTL, RData::PTR(PTR(target)));
        Answer::records(names.into_iter().map(record).collect())
    }
}

fn existing(exists: bool) -> Answer {
    if exists {
        Answer::NoData
    } else {
        Answer::NoSuchName
    }
}

fn version_record(name: &Name, kind: RecordType) -> Answer {
    if kind != RecordType::TXT {
        return Answer::NoData;
    }
    let text = TXT::new(vec![SCHEMA_VERSION.to_owned()]);
    Answer::records(vec![Record::from_rdata(
        name.clone(),
        TTL,
        RData::TXT(text),
    )])
}

/// `10-244-0-5.default.pod`: the address is in the name; whether a pod has it
/// is not looked up, as by default in Kubernetes.
fn pod(index: &Index, dashed: &str, namespace: &str, name: &Name, kind: RecordType) -> Answer {
    let ip = name::dashed_ip(dashed).filter(|_| index.has_namespace(namespace));
    let Some(ip) = ip else {
        return Answer::NoSuchName;
    };
    match kind {
        RecordType::A => Answer::records(vec![address(name, ip)]),
        _ => Answer::NoData,
    }
}

fn address(name: &Name, ip: Ipv4Addr) -> Record {
    Record::from_rdata(name.clone(), TTL, RData::A(A(ip)))
}

#[cfg(test)]
mod tests;
