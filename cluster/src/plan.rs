//! What a cluster is made of, as it is written down in its directory.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub name: String,
    /// The first one is the control plane.
    pub nodes: Vec<Node>,
    /// Where this machine reaches the API; port 0 until the first start chose one.
    pub api_address: IpAddr,
    pub api_port: u16,
    #[serde(with = "as_text")]
    pub pods: Ipv4Net,
    #[serde(with = "as_text")]
    pub services: Ipv4Net,
    /// Search domains of the nodes; without them, this machine's.
    pub dns_search: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub name: String,
    pub role: Role,
    pub labels: BTreeMap<String, String>,
    pub mounts: Vec<Mount>,
    pub ports: Vec<Port>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    ControlPlane,
    Worker,
}

/// A file or directory of this machine that a node sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    pub host_path: PathBuf,
    pub container_path: PathBuf,
    pub is_read_only: bool,
    /// Whether the node sees what is mounted below it later.
    pub follows_host: bool,
}

/// A port of this machine that leads to one of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    pub address: IpAddr,
    /// 0 until the first start chose one.
    pub host_port: u16,
    pub node_port: u16,
    pub protocol: Protocol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    Tcp,
    Udp,
}

/// Ranges that the nodes' own addresses are taken from, the first that is free.
/// None of them leaves the cluster's own network namespace.
const NODE_RANGES: [[u8; 4]; 3] = [[198, 19, 0, 0], [192, 168, 219, 0], [172, 29, 219, 0]];

impl Plan {
    /// The control plane's node.
    ///
    /// # Panics
    /// Never of a plan that was read: it has one.
    pub fn control_plane(&self) -> &Node {
        self.nodes
            .first()
            .expect("a plan has a control plane, and it is the first node")
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Addresses of the nodes: a range that has nothing of the pods' and Services'.
    pub fn node_range(&self) -> Ipv4Net {
        let ranges = NODE_RANGES.map(|octets| Ipv4Net::new_assert(octets.into(), 24));
        let is_free = |range: &&Ipv4Net| {
            [self.pods, self.services]
                .iter()
                .all(|taken| !taken.contains(*range) && !range.contains(taken))
        };
        *ranges
            .iter()
            .find(is_free)
            .expect("of three disjoint ranges two cannot take all: checked when the plan was made")
    }

    /// Where every node answers names of the cluster: the tenth Service address, as kubeadm has it.
    pub fn dns(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.services.network().to_bits() + 10)
    }
}

/// A range as people write it.
mod as_text {
    use ipnet::Ipv4Net;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(range: &Ipv4Net, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(range)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Ipv4Net, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(de::Error::custom)
    }
}
