//! What each signer signs, and whom it trusts without asking anybody.

use std::net::IpAddr;
use std::time::Duration;

use apimachinery::names::dns_subdomain;
use k8s_openapi::api::certificates::v1::CertificateSigningRequestSpec;

use super::asked::Asked;

const NODES: &str = "system:nodes";
const MASTERS: &str = "system:masters";

/// The signers that this cluster's authority stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// Client certificates that people ask for.
    Client,
    /// Client certificates of nodes.
    NodeClient,
    /// Serving certificates of nodes.
    NodeServing,
}

/// Why a request is not signed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("the request cannot be used: {0}")]
    Unusable(String),
    #[error("usages {0:?} are not what this signer grants")]
    Usages(Vec<String>),
    #[error("the subject's organization must be exactly system:nodes")]
    Organization,
    #[error("the subject's common name must be system:node: and the node's name")]
    CommonName,
    #[error("a client certificate of a node has no subject alternative names")]
    Names,
    #[error("a serving certificate needs DNS names or IP addresses, and no other names")]
    NoServingNames,
    #[error("certificates of group system:masters are not given out")]
    Masters,
}

/// Whether others know the API server or a Service by this name: a node may be
/// called so, but may not answer as it.
fn is_of_the_cluster(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let own = ["localhost", "kubernetes", "kubernetes.default"];
    own.contains(&name.as_str()) || name.split('.').skip(2).any(|label| label == "svc")
}

impl Signer {
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "kubernetes.io/kube-apiserver-client" => Some(Self::Client),
            "kubernetes.io/kube-apiserver-client-kubelet" => Some(Self::NodeClient),
            "kubernetes.io/kubelet-serving" => Some(Self::NodeServing),
            _ => None,
        }
    }

    /// Whether this signer signs such a request at all.
    pub fn check(self, spec: &CertificateSigningRequestSpec, asked: &Asked) -> Result<(), Refusal> {
        self.check_usages(spec.usages.as_deref().unwrap_or_default())?;
        if self == Self::Client {
            let is_master = asked.organizations.iter().any(|o| o == MASTERS);
            return if is_master {
                Err(Refusal::Masters)
            } else {
                Ok(())
            };
        }
        if asked.organizations != [NODES] {
            return Err(Refusal::Organization);
        }
        let names_a_node = |name| dns_subdomain(name).is_empty();
        if !asked.node_name().is_some_and(names_a_node) {
            return Err(Refusal::CommonName);
        }
        let has_names = !asked.dns_names.is_empty() || !asked.addresses.is_empty();
        match self {
            Self::NodeClient if has_names || asked.has_other_names => Err(Refusal::Names),
            Self::NodeServing if !has_names || asked.has_other_names => {
                Err(Refusal::NoServingNames)
            }
            _ => Ok(()),
        }
    }

    fn check_usages(self, usages: &[String]) -> Result<(), Refusal> {
        let needed = match self {
            Self::Client | Self::NodeClient => "client auth",
            Self::NodeServing => "server auth",
        };
        let allowed = ["digital signature", "key encipherment", needed];
        let has = |wanted: &str| usages.iter().any(|u| u == wanted);
        let is_strict = self != Self::Client;
        let fits = usages.iter().all(|u| allowed.contains(&u.as_str()))
            && has(needed)
            && (!is_strict || has("digital signature"));
        if fits {
            Ok(())
        } else {
            Err(Refusal::Usages(usages.to_vec()))
        }
    }

    /// What of `certificatesigningrequests` whoever asks must be allowed to
    /// create for the request to be approved without anybody's word; one suffices.
    pub fn permissions(
        self,
        spec: &CertificateSigningRequestSpec,
        asked: &Asked,
    ) -> &'static [&'static str] {
        let is_itself = spec.username.as_deref() == Some(&asked.common_name);
        match self {
            Self::NodeClient if is_itself => &["selfnodeclient", "nodeclient"],
            Self::NodeClient => &["nodeclient"],
            Self::Client | Self::NodeServing => &[],
        }
    }

    /// Whether the request, already checked, is approved without anybody's word
    /// or permission.
    ///
    /// A serving certificate must not be of a name or address that others are
    /// known by: whoever holds it could answer in their place.
    pub fn is_trusted(
        self,
        spec: &CertificateSigningRequestSpec,
        asked: &Asked,
        belongs_to_others: impl Fn(IpAddr) -> bool,
    ) -> bool {
        let groups = spec.groups.as_deref().unwrap_or_default();
        let is_in = |group: &str| groups.iter().any(|g| g == group);
        let is_itself = is_in(NODES) && spec.username.as_deref() == Some(&asked.common_name);
        match self {
            Self::Client | Self::NodeClient => false,
            Self::NodeServing => {
                let node = asked.node_name().unwrap_or_default();
                let own_names = asked.dns_names.iter().all(|name| name == node);
                let mut addresses = asked.addresses.iter();
                is_itself
                    && own_names
                    && !is_of_the_cluster(node)
                    && addresses.all(|ip| !ip.is_loopback() && !belongs_to_others(*ip))
            }
        }
    }

    pub fn approval(self) -> &'static str {
        match self {
            Self::Client => "Approved by somebody",
            Self::NodeClient => "Auto approving kubelet client certificate",
            Self::NodeServing => "Auto approving kubelet serving certificate of the node itself",
        }
    }

    /// What the certificate is to say.
    pub fn grant(
        spec: &CertificateSigningRequestSpec,
        asked: &Asked,
        lifetime: Duration,
    ) -> pki::Request {
        let usages = spec.usages.iter().flatten();
        pki::Request {
            common_name: asked.common_name.clone(),
            organizations: asked.organizations.clone(),
            dns_names: asked.dns_names.clone(),
            addresses: asked.addresses.clone(),
            usages: usages.filter_map(|name| pki::Usage::of(name)).collect(),
            lifetime: Some(lifetime),
        }
    }
}

#[cfg(test)]
mod tests;
