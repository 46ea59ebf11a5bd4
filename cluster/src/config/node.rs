//! One node of the file: its labels, mounts and ports.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Component, Path, PathBuf};

use apimachinery::names;

use super::document::{MountText, NodeText, PortText, refuse_if_set};
use super::{port_or_any, refuse};
use crate::plan::{Mount, Node, Port, Protocol, Role};
use crate::{Error, Result};

/// What skiff itself mounts in a node, or needs to be as it made it.
const OURS: [&str; 6] = [
    "dev",
    "proc",
    "run",
    "sys",
    "usr/local/bin",
    "var/lib/skiff",
];

pub fn read(
    text: &NodeText,
    field: &str,
    name: String,
    role: Role,
    dir: &Path,
    notes: &mut Vec<String>,
) -> Result<Node> {
    let why = "skiff has no kubeadm; flags of a cluster's parts cannot be set here";
    let patches = format!("{field}.kubeadmConfigPatches");
    refuse_if_set(&patches, text.kubeadm_config_patches.as_ref(), why)?;
    refuse_if_set(
        &format!("{patches}JSON6902"),
        text.kubeadm_config_patches_json.as_ref(),
        why,
    )?;
    if let Some(image) = &text.image {
        notes.push(format!(
            "{field}.image: {image} means nothing here: a node is this very skiff, and no image"
        ));
    }
    for (key, value) in &text.labels {
        let problem = names::qualified(key)
            .pop()
            .or_else(|| names::label_value(value).pop());
        if let Some(problem) = problem {
            return refuse(format!("{field}.labels: {key}={value}: {problem}"));
        }
    }
    let mounts = text.extra_mounts.iter().enumerate();
    let mounts = mounts
        .map(|(n, mount)| read_mount(mount, &format!("{field}.extraMounts[{n}]"), dir, notes));
    let mounts = mounts.collect::<Result<_>>()?;
    let ports = text.extra_port_mappings.iter().enumerate();
    let ports = ports.map(|(n, port)| read_port(port, &format!("{field}.extraPortMappings[{n}]")));
    Ok(Node {
        name,
        role,
        labels: text.labels.clone(),
        mounts,
        ports: ports.collect::<Result<_>>()?,
    })
}

fn read_mount(text: &MountText, field: &str, dir: &Path, notes: &mut Vec<String>) -> Result<Mount> {
    if text.selinux_relabel {
        notes.push(format!(
            "{field}.selinuxRelabel means nothing here: files keep their labels"
        ));
    }
    let follows_host = match text.propagation.as_deref() {
        None | Some("" | "None") => false,
        Some("HostToContainer") => true,
        Some("Bidirectional") => {
            return refuse(format!(
                "{field}.propagation: Bidirectional is not supported, for a node must leave nothing mounted on this \
                 machine; use None or HostToContainer"
            ));
        }
        Some(other) => {
            return refuse(format!(
                "{field}.propagation: {other:?} is none of None, HostToContainer"
            ));
        }
    };
    let container_path = inside(&text.container_path).ok_or_else(|| Error::Config {
        what: format!(
            "{field}.containerPath: {:?} is no path below /",
            text.container_path
        ),
    })?;
    if let Some(ours) = OURS.iter().find(|ours| {
        container_path.starts_with(ours) || Path::new(ours).starts_with(&container_path)
    }) {
        return refuse(format!(
            "{field}.containerPath: /{ours} of a node is skiff's own; choose another path"
        ));
    }
    if text.host_path.is_empty() {
        return refuse(format!("{field}.hostPath is empty"));
    }
    Ok(Mount {
        host_path: dir.join(&text.host_path),
        container_path,
        is_read_only: text.read_only,
        follows_host,
    })
}

/// The path below the node's root; `None` for the root itself and for what climbs.
fn inside(path: &str) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!inside.as_os_str().is_empty()).then_some(inside)
}

fn read_port(text: &PortText, field: &str) -> Result<Port> {
    let protocol = match text
        .protocol
        .as_deref()
        .map(str::to_ascii_uppercase)
        .as_deref()
    {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some(other) => {
            return refuse(format!(
                "{field}.protocol: {other} is not supported; use TCP or UDP"
            ));
        }
    };
    let address = match text.listen_address.as_deref() {
        None | Some("") => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(ip) => ip.parse().map_err(|_| Error::Config {
            what: format!("{field}.listenAddress: {ip:?} is no IP address"),
        })?,
    };
    let node_port = match u16::try_from(text.container_port) {
        Ok(port) if port > 0 => port,
        _ => {
            return refuse(format!(
                "{field}.containerPort: {} is not 1 to 65535",
                text.container_port
            ));
        }
    };
    Ok(Port {
        address,
        host_port: port_or_any(&format!("{field}.hostPort"), text.host_port)?,
        node_port,
        protocol,
    })
}
