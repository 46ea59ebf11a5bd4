//! How a machine becomes a node of a cluster it knows only a token of.
//!
//! The token pins the cluster's authority: what the server says of it before
//! it can be trusted (ConfigMap `cluster-info`, as kubeadm has it) is believed
//! only if its key has the token's fingerprint. Then the token's other half
//! asks for a client certificate, and that for a serving one; both keys are
//! made here and never leave the machine.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::config::AuthInfo;
use kube::{Api, Client};
use pki::join::JoinToken;
use pki::{Issued, Request, private_file};
use serde_json::json;

use crate::identities::{NodeIdentities, node_client, node_serving};
use crate::instance::Instance;

const SIGNED_WITHIN: Duration = Duration::from_secs(60);
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const SERVING_SIGNER: &str = "kubernetes.io/kubelet-serving";

/// The identities of an earlier join, if this machine has joined.
pub fn saved(instance: &Instance) -> anyhow::Result<Option<NodeIdentities>> {
    let dir = instance.pki_dir();
    let read = |name: &str| private_file::read(&dir.join(name));
    let files = (
        read("ca.crt")?,
        read("kubelet-client.crt")?,
        read("kubelet-client.key")?,
        read("kubelet.crt")?,
        read("kubelet.key")?,
    );
    let (Some(ca_pem), Some(client_cert), Some(client_key), Some(cert), Some(key)) = files else {
        return Ok(None);
    };
    Ok(Some(NodeIdentities {
        ca_pem,
        client: Issued {
            cert_pem: client_cert,
            key_pem: client_key,
        },
        serving: Issued {
            cert_pem: cert,
            key_pem: key,
        },
    }))
}

/// Joins the cluster at `server` and keeps the identities it gives.
pub async fn join(
    instance: &Instance,
    server: &str,
    token: &JoinToken,
    node: &str,
    ip: Ipv4Addr,
) -> anyhow::Result<NodeIdentities> {
    let ca_pem = trusted_authority(server, token).await?;
    let bearer = AuthInfo {
        token: Some(token.bearer().into()),
        ..AuthInfo::default()
    };
    let bootstrap = client(server, &ca_pem, bearer)?;
    let client_identity = certificate(&bootstrap, CLIENT_SIGNER, &node_client(node)).await?;
    let as_node = client(server, &ca_pem, identity(&client_identity))?;
    let serving = certificate(&as_node, SERVING_SIGNER, &node_serving(node, ip)).await?;
    let identities = NodeIdentities {
        ca_pem,
        client: client_identity,
        serving,
    };
    save(instance, &identities)?;
    Ok(identities)
}

/// A client of `server` as the node.
pub fn node_api(server: &str, identities: &NodeIdentities) -> anyhow::Result<Client> {
    client(server, &identities.ca_pem, identity(&identities.client))
}

fn client(server: &str, ca_pem: &str, auth: AuthInfo) -> anyhow::Result<Client> {
    let mut config = bare_config(server)?;
    let ca = pem_to_der(ca_pem)?;
    config.root_cert = Some(vec![ca]);
    config.auth_info = auth;
    Ok(Client::try_from(config)?)
}

fn bare_config(server: &str) -> anyhow::Result<kube::Config> {
    let url: http::Uri = server
        .parse()
        .with_context(|| format!("--server {server} is not a URL"))?;
    if url.scheme_str() != Some("https") {
        bail!("--server {server} is not an https:// URL");
    }
    let mut config = kube::Config::new(url);
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = None;
    Ok(config)
}

async fn trusted_authority(server: &str, token: &JoinToken) -> anyhow::Result<String> {
    let mut config = bare_config(server)?;
    // Nothing secret is sent here, and nothing is believed before the check below.
    config.accept_invalid_certs = true;
    let api: Api<ConfigMap> = Api::namespaced(Client::try_from(config)?, "kube-public");
    let info = api.get("cluster-info").await.with_context(|| {
        format!("ask {server} for its authority; is it running, and reachable from here?")
    })?;
    let kubeconfig = info.data.unwrap_or_default().remove("kubeconfig");
    let kubeconfig =
        kubeconfig.context("the server's ConfigMap kube-public/cluster-info has no kubeconfig")?;
    let ca_pem = authority_in(&kubeconfig)?;
    let found = pki::fingerprint(&ca_pem)?;
    if found != token.ca_fingerprint {
        bail!(
            "the authority of {server} is not the one that the token is for: it has {found}, the token {}; \
             somebody may be answering in the server's place, or the token is of another cluster",
            token.ca_fingerprint
        );
    }
    Ok(ca_pem)
}

fn authority_in(kubeconfig: &str) -> anyhow::Result<String> {
    let config = kube::config::Kubeconfig::from_yaml(kubeconfig)
        .context("read the server's cluster-info")?;
    let data = config
        .clusters
        .into_iter()
        .find_map(|named| named.cluster?.certificate_authority_data)
        .context("the server's cluster-info names no authority")?;
    let pem = STANDARD
        .decode(data)
        .context("the authority in the server's cluster-info is not base64")?;
    String::from_utf8(pem).context("the authority in the server's cluster-info is not PEM")
}

fn identity(issued: &Issued) -> AuthInfo {
    AuthInfo {
        client_certificate_data: Some(STANDARD.encode(&issued.cert_pem)),
        client_key_data: Some(STANDARD.encode(&issued.key_pem).into()),
        ..AuthInfo::default()
    }
}

fn pem_to_der(pem: &str) -> anyhow::Result<Vec<u8>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .context("the cluster's CA is not a PEM certificate")?;
    Ok(der.to_vec())
}

/// Asks for a certificate of a fresh key, and waits until it is signed.
async fn certificate(client: &Client, signer: &str, request: &Request) -> anyhow::Result<Issued> {
    let (csr_pem, key_pem) = pki::make_csr(request)?;
    let usage = if signer == SERVING_SIGNER {
        "server auth"
    } else {
        "client auth"
    };
    let csr: CertificateSigningRequest = serde_json::from_value(json!({
        "metadata": { "generateName": "node-csr-" },
        "spec": {
            "request": STANDARD.encode(&csr_pem),
            "signerName": signer,
            "usages": ["digital signature", usage],
        },
    }))?;
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let made = api
        .create(&PostParams::default(), &csr)
        .await
        .context("ask the server for a certificate; the token may have expired (make one with `skiff token create`)")?;
    let name = made
        .metadata
        .name
        .context("the server made a request without a name")?;
    let signed = kube::runtime::wait::await_condition(api, &name, is_decided);
    let signed = tokio::time::timeout(SIGNED_WITHIN, signed)
        .await
        .with_context(|| format!("certificate request {name} was not signed within a minute"))??;
    let status = signed.and_then(|csr| csr.status);
    match status.and_then(|status| status.certificate) {
        Some(cert) => Ok(Issued {
            cert_pem: String::from_utf8(cert.0).context("the signed certificate is not PEM")?,
            key_pem,
        }),
        None => bail!("certificate request {name} was denied; see: kubectl describe csr {name}"),
    }
}

fn is_decided(csr: Option<&CertificateSigningRequest>) -> bool {
    let status = csr.and_then(|csr| csr.status.as_ref());
    status.is_some_and(|status| {
        let conditions = status.conditions.as_deref().unwrap_or_default();
        status.certificate.is_some() || conditions.iter().any(|c| c.type_ != "Approved")
    })
}

fn save(instance: &Instance, identities: &NodeIdentities) -> Result<(), pki::Error> {
    let dir = instance.pki_dir();
    private_file::make_dir(&dir)?;
    let secret = |name: &str, text: &str| private_file::write(&dir.join(name), text.as_bytes());
    let public =
        |name: &str, text: &str| private_file::write_public(&dir.join(name), text.as_bytes());
    secret("kubelet-client.key", &identities.client.key_pem)?;
    public("kubelet-client.crt", &identities.client.cert_pem)?;
    secret("kubelet.key", &identities.serving.key_pem)?;
    public("kubelet.crt", &identities.serving.cert_pem)?;
    // Last: its presence says that all others are there.
    public("ca.crt", &identities.ca_pem)
}
