//! The cluster's keys and certificates: made on the first start, and those that
//! end renewed for as long as the server runs.

mod own;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pki::{Authority, Issued, Request, TokenKey, Usage};

use crate::instance::Instance;
pub use own::Own;

const A_DAY: Duration = Duration::from_secs(24 * 3600);
/// The administrator's file is carried to other machines, where nobody renews it.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Of no group: the user is bound to `system:kubelet-api-admin`, so that a
/// request which is led to an API server instead of a kubelet can do no more.
const KUBELET_CLIENT: &str = "kube-apiserver-kubelet-client";

/// All identities of a server.
pub struct ServerIdentities {
    pub authority: Arc<Authority>,
    pub token_key: TokenKey,
    /// The API server's serving certificate.
    pub api_server: Own,
    /// With which the API server calls kubelets.
    pub kubelet_client: Own,
    /// With which the API server calls extension API servers, and who signed it:
    /// another authority, for whom it signs may name any user to them.
    pub front_proxy: Own,
    pub front_proxy_ca: String,
    pub admin: Own,
    pub admin_file: AdminFile,
}

/// The names and addresses that a server is reached by.
pub struct ServerNames {
    pub host: String,
    pub addresses: Vec<Ipv4Addr>,
    pub domain: String,
    /// For the administrator's file: how this machine reaches its own server.
    pub url: String,
    /// No certificate lives longer, except the administrator's.
    pub lifetime: Duration,
}

/// The file that makes whoever may read it the cluster's administrator.
#[derive(Clone)]
pub struct AdminFile {
    path: PathBuf,
    url: String,
    ca_pem: String,
}

impl AdminFile {
    pub fn write(&self, admin: &Issued) -> Result<(), pki::Error> {
        pki::kubeconfig::write(&self.path, "skiff", &self.url, &self.ca_pem, "admin", admin)
    }
}

/// The identities of this server, and the administrator's file written.
pub fn of_server(instance: &Instance, names: &ServerNames) -> Result<ServerIdentities, pki::Error> {
    let dir = instance.pki_dir();
    let load = |name, common_name| Authority::load_or_create(&dir, name, common_name);
    let authority = Arc::new(load("ca", "skiff-ca")?);
    let proxies = Arc::new(load("front-proxy-ca", "skiff-front-proxy-ca")?);
    let front_proxy_ca = proxies.cert_pem().to_owned();
    let life = names.lifetime.min(A_DAY);
    let own = |name, request: Request| Own::load(&authority, &dir, name, request);
    let kubelet_client = client(KUBELET_CLIENT, &[], life);
    let front_proxy = client("front-proxy-client", &[], life);
    let admin = client("kubernetes-admin", &["system:masters"], A_YEAR);
    let identities = ServerIdentities {
        token_key: TokenKey::load_or_create(&dir.join("service-accounts.key"))?,
        api_server: own("apiserver", serving(names, life))?,
        kubelet_client: own("apiserver-kubelet-client", kubelet_client)?,
        front_proxy: Own::load(&proxies, &dir, "front-proxy-client", front_proxy)?,
        front_proxy_ca,
        admin: own("admin", admin)?,
        admin_file: AdminFile {
            path: instance.admin_kubeconfig(),
            url: names.url.clone(),
            ca_pem: authority.cert_pem().to_owned(),
        },
        authority,
    };
    identities.admin_file.write(&identities.admin.issued)?;
    Ok(identities)
}

/// The serving certificate of a node whose server is this process too.
pub fn of_node(
    instance: &Instance,
    authority: &Arc<Authority>,
    (node, ip): (&str, Ipv4Addr),
    lifetime: Duration,
) -> Result<Own, pki::Error> {
    let request = Request {
        lifetime: Some(lifetime.min(A_DAY)),
        ..node_serving(node, ip)
    };
    Own::load(authority, &instance.pki_dir(), "kubelet", request)
}

pub fn node_client(node: &str) -> Request {
    client(&format!("system:node:{node}"), &["system:nodes"], A_DAY)
}

pub fn node_serving(node: &str, ip: Ipv4Addr) -> Request {
    Request {
        dns_names: vec![node.to_owned()],
        addresses: vec![IpAddr::V4(ip)],
        usages: vec![Usage::Server],
        ..node_client(node)
    }
}

fn serving(names: &ServerNames, lifetime: Duration) -> Request {
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
        lifetime: Some(lifetime),
        ..Request::default()
    }
}

fn client(name: &str, groups: &[&str], lifetime: Duration) -> Request {
    Request {
        common_name: name.into(),
        organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
        usages: vec![Usage::Client],
        lifetime: Some(lifetime),
        ..Request::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::InstanceFlags;

    #[test]
    fn a_kubelet_client_that_was_a_master_is_replaced_by_one_that_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().to_owned();
        let instance = InstanceFlags { data_dir }.instance().unwrap();
        let pki_dir = instance.pki_dir();
        let authority = Authority::load_or_create(&pki_dir, "ca", "skiff-ca").unwrap();
        let keep = |groups: &[&str]| {
            let request = client(KUBELET_CLIENT, groups, A_DAY);
            pki::load_or_issue(&authority, &pki_dir, "apiserver-kubelet-client", &request).unwrap()
        };
        let master = keep(&["system:masters"]);
        let names = ServerNames {
            host: "h".into(),
            addresses: Vec::new(),
            domain: "cluster.local".into(),
            url: "https://127.0.0.1:6443".into(),
            lifetime: A_DAY,
        };
        let issued = of_server(&instance, &names).unwrap().kubelet_client.issued;
        assert_ne!(issued.cert_pem, master.cert_pem);
        assert_eq!(issued.cert_pem, keep(&[]).cert_pem);
    }
}
