//! The cluster's keys and certificates, made on the first start.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use pki::{Authority, Issued, Request, TokenKey, Usage, load_or_issue};

use crate::instance::Instance;

const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// All identities of a server.
pub struct ServerIdentities {
    pub authority: Authority,
    pub token_key: TokenKey,
    /// The API server's serving certificate.
    pub api_server: Issued,
    /// With which the API server calls kubelets.
    pub kubelet_client: Issued,
    /// With which the API server calls extension API servers, and who signed it:
    /// another authority, for whom it signs may name any user to them.
    pub front_proxy: Issued,
    pub front_proxy_ca: String,
    pub admin: Issued,
}

/// A node's own two certificates.
#[derive(Clone)]
pub struct NodeIdentities {
    pub ca_pem: String,
    /// As which it talks to the API server.
    pub client: Issued,
    /// With which it serves the kubelet API.
    pub serving: Issued,
}

/// The names and addresses that a server is reached by.
pub struct ServerNames {
    pub host: String,
    pub addresses: Vec<Ipv4Addr>,
    pub domain: String,
}

pub fn of_server(instance: &Instance, names: &ServerNames) -> Result<ServerIdentities, pki::Error> {
    let dir = instance.pki_dir();
    let authority = Authority::load_or_create(&dir, "ca", "skiff-ca")?;
    let proxies = Authority::load_or_create(&dir, "front-proxy-ca", "skiff-front-proxy-ca")?;
    let issue = |name: &str, request: &Request| load_or_issue(&authority, &dir, name, request);
    Ok(ServerIdentities {
        token_key: TokenKey::load_or_create(&dir.join("service-accounts.key"))?,
        api_server: issue("apiserver", &serving(names))?,
        kubelet_client: issue(
            "apiserver-kubelet-client",
            &client("kube-apiserver-kubelet-client", &["system:masters"]),
        )?,
        front_proxy: load_or_issue(
            &proxies,
            &dir,
            "front-proxy-client",
            &client("front-proxy-client", &[]),
        )?,
        front_proxy_ca: proxies.cert_pem().to_owned(),
        admin: issue("admin", &client("kubernetes-admin", &["system:masters"]))?,
        authority,
    })
}

/// A node's identities from an authority at hand, as `skiff up` has it.
pub fn of_node(
    instance: &Instance,
    authority: &Authority,
    node: &str,
    ip: Ipv4Addr,
) -> Result<NodeIdentities, pki::Error> {
    let dir = instance.pki_dir();
    Ok(NodeIdentities {
        ca_pem: authority.cert_pem().to_owned(),
        client: load_or_issue(authority, &dir, "kubelet-client", &node_client(node))?,
        serving: load_or_issue(authority, &dir, "kubelet", &node_serving(node, ip))?,
    })
}

pub fn node_client(node: &str) -> Request {
    client(&format!("system:node:{node}"), &["system:nodes"])
}

pub fn node_serving(node: &str, ip: Ipv4Addr) -> Request {
    Request {
        dns_names: vec![node.to_owned()],
        addresses: vec![IpAddr::V4(ip)],
        usages: vec![Usage::Server],
        ..node_client(node)
    }
}

fn serving(names: &ServerNames) -> Request {
    let service = "kubernetes.default.svc";
    let mut dns_names = vec![
        names.host.clone(),
        "localhost".to_owned(),
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        service.to_owned(),
        format!("{service}.{}", names.domain),
    ];
    dns_names.dedup();
    let mut addresses: Vec<IpAddr> = vec![
        Ipv4Addr::LOCALHOST.into(),
        std::net::Ipv6Addr::LOCALHOST.into(),
    ];
    addresses.extend(names.addresses.iter().map(|ip| IpAddr::V4(*ip)));
    Request {
        common_name: "kube-apiserver".into(),
        dns_names,
        addresses,
        usages: vec![Usage::Server],
        lifetime: Some(A_YEAR),
        ..Request::default()
    }
}

fn client(name: &str, groups: &[&str]) -> Request {
    Request {
        common_name: name.into(),
        organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
        usages: vec![Usage::Client],
        lifetime: Some(A_YEAR),
        ..Request::default()
    }
}
