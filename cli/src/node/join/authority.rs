//! Whom to trust, when all that is known of the cluster is a token.

use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use pki::join::JoinToken;

/// The authority that a server tells in ConfigMap `cluster-info`, as kubeadm has
/// it, if its key is the one that the token pins.
pub async fn trusted(servers: &[String], token: &JoinToken) -> anyhow::Result<String> {
    let mut last = None;
    for server in servers {
        match told_by(server).await {
            Ok(ca_pem) => return check(server, ca_pem, token),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no --server is given")?)
}

fn check(server: &str, ca_pem: String, token: &JoinToken) -> anyhow::Result<String> {
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

async fn told_by(server: &str) -> anyhow::Result<String> {
    let mut config = kube::Config::new(format!("https://{server}").parse()?);
    config.connect_timeout = Some(Duration::from_secs(10));
    // Nothing secret is sent here, and nothing is believed before it is checked.
    config.accept_invalid_certs = true;
    // A bare machine need not have any authorities of its own.
    config.root_cert = Some(Vec::new());
    let api: Api<ConfigMap> = Api::namespaced(Client::try_from(config)?, "kube-public");
    let info = api.get("cluster-info").await.with_context(|| {
        format!("ask {server} for its authority; is it running, and reachable from here?")
    })?;
    let kubeconfig = info.data.unwrap_or_default().remove("kubeconfig");
    let kubeconfig =
        kubeconfig.context("the server's ConfigMap kube-public/cluster-info has no kubeconfig")?;
    authority_in(&kubeconfig)
}

/// The authority that a kubeconfig names.
pub fn authority_in(kubeconfig: &str) -> anyhow::Result<String> {
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
