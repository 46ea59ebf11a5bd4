//! kind's configuration, read to a [`Plan`].
//!
//! What can be had is had; what cannot is refused by its name, and so is what
//! is unknown: nothing that somebody wrote down is passed over in silence.

mod document;
mod node;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use apimachinery::names;
use ipnet::Ipv4Net;

use crate::plan::{Plan, Role};
use crate::{Error, Result};
use document::{Document, Networking, NodeText};

/// The name of a cluster that nobody gave one.
pub const DEFAULT_NAME: &str = "skiff";

const MOST_BYTES: usize = 1 << 20;
const MOST_NODES: usize = 100;

/// A plan, and what of the file means nothing here.
#[derive(Debug)]
pub struct Read {
    pub plan: Plan,
    pub notes: Vec<String>,
}

/// Reads a file of kind's; `name` wins over the file's, relative paths begin at `dir`.
///
/// # Errors
/// [`Error::Syntax`] and [`Error::Config`] say what is wrong and what to write instead.
pub fn read(text: &str, name: Option<&str>, dir: &Path) -> Result<Read> {
    if text.len() > MOST_BYTES {
        return refuse(format!(
            "the configuration has more than {MOST_BYTES} bytes"
        ));
    }
    let document: Document =
        serde_yaml::from_str(text).map_err(|source| Error::Syntax { source })?;
    document.check()?;
    let mut notes = Vec::new();
    let name = name.or(document.name.as_deref()).unwrap_or(DEFAULT_NAME);
    check_name(name)?;
    let nodes = nodes(&document.nodes, name, dir, &mut notes)?;
    let network = networking(&document.networking, &mut notes)?;
    let plan = Plan {
        name: name.to_owned(),
        nodes,
        api_address: network.api_address,
        api_port: network.api_port,
        pods: network.pods,
        services: network.services,
        dns_search: document.networking.dns_search,
    };
    check_ranges(&plan)?;
    check_ports(&plan)?;
    Ok(Read { plan, notes })
}

/// One control plane that takes pods too.
pub fn default(name: Option<&str>) -> Result<Plan> {
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";
    read(text, name, Path::new("/")).map(|read| read.plan)
}

fn refuse<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::Config { what: what.into() })
}

/// A name becomes part of host names, so it is a label, and leaves room for them.
pub fn check_name(name: &str) -> Result<()> {
    if !names::is_dns_label(name) || name.len() > 40 {
        return refuse(format!(
            "cluster name {name:?} is not at most 40 of a-z, 0-9 and -, beginning and ending with a letter or digit"
        ));
    }
    Ok(())
}

fn nodes(
    texts: &[NodeText],
    cluster: &str,
    dir: &Path,
    notes: &mut Vec<String>,
) -> Result<Vec<crate::plan::Node>> {
    let alone = [NodeText::default()];
    let texts = if texts.is_empty() { &alone } else { texts };
    if texts.len() > MOST_NODES {
        return refuse(format!(
            "nodes: there are {}, at most {MOST_NODES} can be",
            texts.len()
        ));
    }
    let mut nodes = Vec::new();
    let (mut planes, mut workers) = (0, 0);
    for (index, text) in texts.iter().enumerate() {
        let role = text.role()?;
        let (count, word) = match role {
            Role::ControlPlane => (&mut planes, "control-plane"),
            Role::Worker => (&mut workers, "worker"),
        };
        *count += 1;
        let number = if *count == 1 {
            String::new()
        } else {
            count.to_string()
        };
        let name = format!("{cluster}-{word}{number}");
        nodes.push(node::read(
            text,
            &format!("nodes[{index}]"),
            name,
            role,
            dir,
            notes,
        )?);
    }
    match planes {
        0 => refuse("nodes: one of them must have the role control-plane"),
        1 => {
            nodes.sort_by_key(|node| node.role == Role::Worker);
            Ok(nodes)
        }
        _ => refuse(format!(
            "nodes: {planes} have the role control-plane; skiff keeps a cluster's state in one of them, \
             and several need an external etcd (skiff server --datastore-endpoints): use one"
        )),
    }
}

struct Network {
    api_address: IpAddr,
    api_port: u16,
    pods: Ipv4Net,
    services: Ipv4Net,
}

fn networking(text: &Networking, notes: &mut Vec<String>) -> Result<Network> {
    match text.ip_family.as_deref() {
        None | Some("ipv4") => {}
        Some(family) => {
            return refuse(format!(
                "networking.ipFamily: {family:?} is not served; only ipv4 is"
            ));
        }
    }
    if text.disable_default_cni == Some(true) {
        return refuse(
            "networking.disableDefaultCNI: the pod network is built into skiff and cannot be taken out",
        );
    }
    match text.kube_proxy_mode.as_deref() {
        None => {}
        Some(mode @ ("iptables" | "ipvs" | "nftables")) => notes.push(format!(
            "networking.kubeProxyMode: {mode} means nothing here: Services are forwarded in userspace"
        )),
        Some("none") => return refuse("networking.kubeProxyMode: none: the Service proxy is built into skiff and cannot be taken out"),
        Some(mode) => return refuse(format!("networking.kubeProxyMode: {mode:?} is none of iptables, ipvs, nftables")),
    }
    let api_address = match &text.api_server_address {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(ip) => ip.parse().map_err(|_| Error::Config {
            what: format!("networking.apiServerAddress: {ip:?} is no IP address"),
        })?,
    };
    Ok(Network {
        api_address,
        api_port: port_or_any("networking.apiServerPort", text.api_server_port)?,
        pods: range(
            "networking.podSubnet",
            text.pod_subnet.as_deref(),
            "10.244.0.0/16",
        )?,
        services: range(
            "networking.serviceSubnet",
            text.service_subnet.as_deref(),
            "10.96.0.0/16",
        )?,
    })
}

fn range(field: &str, text: Option<&str>, default: &str) -> Result<Ipv4Net> {
    let text = text.unwrap_or(default);
    let range: Option<Ipv4Net> = text.parse().ok();
    match range {
        Some(range) if range.network() == range.addr() => Ok(range),
        _ => refuse(format!(
            "{field}: {text:?} is no IPv4 range such as {default}"
        )),
    }
}

/// A port of this machine; 0 and -1 let skiff choose.
fn port_or_any(field: &str, port: Option<i64>) -> Result<u16> {
    match port {
        None | Some(-1) => Ok(0),
        Some(port) => u16::try_from(port).map_err(|_| Error::Config {
            what: format!(
                "{field}: {port} is no port: it is 1 to 65535, or 0 for any that is free"
            ),
        }),
    }
}

fn check_ranges(plan: &Plan) -> Result<()> {
    let (pods, services) = (plan.pods, plan.services);
    if pods.contains(&services) || services.contains(&pods) {
        return refuse(format!(
            "networking: podSubnet {pods} and serviceSubnet {services} overlap"
        ));
    }
    let ranges = 24u8
        .checked_sub(pods.prefix_len())
        .map(|bits| 1usize << bits);
    if ranges.is_none_or(|ranges| ranges < plan.nodes.len()) {
        return refuse(format!(
            "networking.podSubnet: {pods} has no /24 for each of {} nodes",
            plan.nodes.len()
        ));
    }
    if !(8..=27).contains(&services.prefix_len()) {
        return refuse(format!(
            "networking.serviceSubnet: {services} is not between a /8 and a /27"
        ));
    }
    Ok(())
}

fn check_ports(plan: &Plan) -> Result<()> {
    let mut taken = BTreeSet::new();
    for port in plan.nodes.iter().flat_map(|node| &node.ports) {
        let is_new = taken.insert((port.address, port.host_port, port.protocol as u8));
        if !is_new && port.host_port != 0 {
            return refuse(format!(
                "extraPortMappings: port {} of {} is mapped twice",
                port.host_port, port.address
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
