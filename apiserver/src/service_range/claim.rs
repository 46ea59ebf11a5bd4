//! What is claimed, and how that is written down: an address as an IPAddress,
//! which clients see, a port as a few words of JSON.

use std::fmt;
use std::net::Ipv4Addr;

use apimachinery::{meta, random, time};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{bytes_json, keys};

/// Where IPAddresses lie; those that others made are taken addresses as well.
pub const ADDRESSES: &str = "ipaddresses";
pub const PORTS: &str = "servicenodeports";
const OWNER: &str = "skiff.io/service-uid";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Claim {
    Address(Ipv4Addr),
    Port(u16),
}

/// The Service that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Port(port) => port.fmt(f),
        }
    }
}

impl Claim {
    pub fn key(self) -> Vec<u8> {
        let prefix = match self {
            Self::Address(_) => ADDRESSES,
            Self::Port(_) => PORTS,
        };
        keys::object(prefix, None, &self.to_string())
    }
}

impl Owner {
    pub fn of(service: &Value) -> Self {
        Self {
            namespace: meta::namespace(service).to_owned(),
            name: meta::name(service).to_owned(),
            uid: meta::uid(service).to_owned(),
        }
    }
}

pub fn value(claim: Claim, owner: &Owner) -> store::Value {
    let Owner {
        namespace,
        name,
        uid,
    } = owner;
    let object = match claim {
        Claim::Port(_) => {
            let words = json!({ "namespace": namespace, "name": name, "uid": uid });
            return store::Value::plain(words.to_string());
        }
        Claim::Address(address) => json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {
                "name": address.to_string(),
                "uid": random::uid(),
                "creationTimestamp": time::rfc3339(Timestamp::now()),
                "labels": { "ipaddress.kubernetes.io/ip-family": "IPv4", MANAGED_BY: ALLOCATOR },
                "annotations": { OWNER: uid },
            },
            "spec": {
                "parentRef": { "group": "", "resource": "services", "namespace": namespace, "name": name },
            },
        }),
    };
    match &object {
        Value::Object(fields) => bytes_json::encode(fields),
        _ => unreachable!("an IPAddress is a JSON object"),
    }
}

/// The uid of the Service that a stored claim is for; None if it is an
/// IPAddress that somebody else made.
pub fn owner_of(claim: Claim, stored: &[u8]) -> Option<String> {
    let object: Value = serde_json::from_slice(stored).ok()?;
    let uid = match claim {
        Claim::Port(_) => &object["uid"],
        Claim::Address(_) if object["metadata"]["labels"][MANAGED_BY] == ALLOCATOR => {
            &object["metadata"]["annotations"][OWNER]
        }
        Claim::Address(_) => return None,
    };
    Some(uid.as_str().unwrap_or("").to_owned())
}

/// What a Service holds, each once.
pub fn claims_of(service: &Value) -> Vec<Claim> {
    let addresses = addresses_of(service).into_iter().map(Claim::Address);
    let mut claims: Vec<Claim> = addresses
        .chain(ports_of(service).into_iter().map(Claim::Port))
        .collect();
    claims.sort_unstable();
    claims.dedup();
    claims
}

/// The cluster addresses a Service holds.
pub fn addresses_of(service: &Value) -> Vec<Ipv4Addr> {
    let listed = meta::items(service, "spec.clusterIPs").iter();
    let mut found: Vec<Ipv4Addr> = listed.filter_map(|ip| ip.as_str()?.parse().ok()).collect();
    if let Ok(single) = meta::text(service, "spec.clusterIP").parse()
        && !found.contains(&single)
    {
        found.push(single);
    }
    found
}

/// The node ports a Service holds; TCP and UDP may share one.
pub fn ports_of(service: &Value) -> Vec<u16> {
    let as_port = |value: &Value| {
        let number = value.as_u64().and_then(|n| u16::try_from(n).ok());
        number.filter(|port| *port > 0)
    };
    let ports = meta::items(service, "spec.ports").iter();
    let mut found: Vec<u16> = ports
        .filter_map(|port| as_port(&port["nodePort"]))
        .collect();
    found.extend(as_port(&service["spec"]["healthCheckNodePort"]));
    found
}
